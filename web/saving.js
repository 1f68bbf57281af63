// Saves one cut-out or all of them.

import {checkedOptions} from './controls.js';
import {message, say} from './page.js';
import {compose, decode, encode} from './picanet.js';

/** @typedef {import('./page.js').Photo} Photo */

const ENDINGS = {'image/png': 'png', 'image/webp': 'webp', 'image/jpeg': 'jpg'};

/**
 * @param {Photo} photo
 * @param {import('./controls.js').Options} chosen
 */
async function result(photo, chosen) {
  const pixels = await compose(await decode(photo.blob), /** @type {any} */ (photo.map), chosen);
  const ending = ENDINGS[/** @type {keyof typeof ENDINGS} */ (chosen.type)];
  return {name: `${photo.name.replace(/\.[^.]*$/, '')}.cutout.${ending}`, blob: await encode(pixels, chosen)};
}

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Saves the cut-out of a photo.
 * @param {Photo} photo
 */
export async function save(photo) {
  const {blob, name} = await result(photo, checkedOptions());
  download(blob, name);
}

/**
 * Saves the cut-outs of all photos that are done, as one file.
 * @param {Photo[]} photos
 */
export async function saveAll(photos) {
  const {zipSync} = await import('fflate');
  /** @type {Record<string, Uint8Array>} */
  const files = {};
  const failures = [];
  const done = photos.filter((photo) => photo.map);
  const chosen = checkedOptions();
  for (const [number, photo] of done.entries()) {
    say(`${photo.name} (${number + 1} of ${done.length}) …`);
    try {
      const {name, blob} = await result(photo, chosen);
      let free = name;
      for (let copy = 2; free in files; copy++) free = name.replace('.cutout.', `-${copy}.cutout.`);
      files[free] = new Uint8Array(await blob.arrayBuffer());
    } catch (error) {
      failures.push(message(error));
    }
  }
  const count = Object.keys(files).length;
  if (count) download(new Blob([/** @type {any} */ (zipSync(files, {level: 0}))], {type: 'application/zip'}), 'cutouts.zip');
  say(`${count} in cutouts.zip${failures.length ? `, ${failures.length} failed. ${failures[0]}` : ''}`, failures.length > 0);
}
