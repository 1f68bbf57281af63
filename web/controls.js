// The controls of the cut-out.

import {element} from './page.js';

/** @typedef {ReturnType<typeof options>} Options */

/** @type {Blob | undefined} */
let picture;
const threshold = /** @type {HTMLInputElement} */ (element('threshold'));
const background = /** @type {HTMLSelectElement} */ (element('background'));

/** Returns the options that the controls show. */
export function options() {
  const hex = /** @type {HTMLInputElement} */ (element('colour')).value;
  /** @type {any} */
  let behind = background.value;
  if (behind === 'colour') behind = hex;
  if (behind === 'picture') behind = picture ?? 'transparent';
  return {
    edges: /** @type {any} */ (element('edges')).value,
    threshold: Number(threshold.value),
    background: behind,
    type: /** @type {any} */ (element('format')).value,
  };
}

/** Returns the options; throws an error if no cut-out can be saved with them. */
export function checkedOptions() {
  const chosen = options();
  if (background.value === 'picture' && !picture) throw new Error('Choose a picture for the background first.');
  if (chosen.type === 'image/jpeg' && chosen.background === 'transparent') {
    throw new Error('JPEG has no transparency: choose a background, or another format.');
  }
  return chosen;
}

/**
 * Updates the page when the controls change.
 * @param {() => void} draw called when the cut-out looks different
 * @param {() => void} settle called when only the saved file changes
 */
export function follow(draw, settle) {
  for (const id of ['threshold', 'edges', 'colour']) element(id).onchange = draw;
  element('format').onchange = settle;
  threshold.oninput = () => { element('threshold-value').textContent = threshold.value; };
  background.onchange = () => {
    element('colour-label').hidden = background.value !== 'colour';
    element('picture-label').hidden = background.value !== 'picture';
    draw();
  };
  element('picture').onchange = (event) => {
    picture = /** @type {HTMLInputElement} */ (event.target).files?.[0];
    draw();
  };
}
