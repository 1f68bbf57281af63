// The page: photos are chosen, dropped or pasted, and saved as cut-outs.

import {follow, options} from './controls.js';
import {forget, look} from './looking.js';
import {advance, element, message, say, status} from './page.js';
import {compose, decode, load, saliency} from './picanet.js';
import {save, saveAll} from './saving.js';

/** @typedef {import('./page.js').Photo} Photo */
/** @typedef {import('./picanet.js').Pixels} Pixels */

/** @type {Photo[]} */
const photos = [];
/** @type {Photo | undefined} */
let current;
/** @type {Promise<void> | undefined} */
let drawing;
let stale = false; // whether the options or the photo have changed since the last drawing

/** Loads the network, if it is not loaded yet, and shows what it runs on. */
async function ready() {
  try {
    const {runs, name, attention: shown} = await load({onProgress: advance});
    element('runs').textContent = `${name} runs on ${runs}.`;
    element('look').hidden = !shown;
  } finally {
    element('progress').hidden = true;
  }
}

/** Loads the network while the visitor looks for photos. */
async function start() {
  say('Loading the network …');
  try {
    await ready();
    if (!photos.length) say('Ready.');
    return true;
  } catch (error) {
    say(`The network could not be loaded: ${message(error)}`, true);
    return false;
  }
}

/** @type {Promise<void>} */
let queue = Promise.resolve();

/** @param {File} file @param {boolean} [folder] */
function add(file, folder = false) {
  const photo = {name: file.name || 'pasted.png', blob: file, folder};
  photos.push(photo);
  enqueue(photo);
}

/** @param {Photo} photo */
function enqueue(photo) {
  queue = queue.then(() => take(photo));
}

/**
 * Adds what was dropped or pasted.
 * @param {DataTransfer | null} data
 */
function addFrom(data) {
  let count = 0;
  for (const item of data?.items ?? []) {
    const file = item.kind === 'file' && item.getAsFile();
    if (!file) continue;
    add(file, item.webkitGetAsEntry?.()?.isDirectory);
    count++;
  }
  if (!count) say('No photo was found in that. Save the photo as a file, then choose, drop or paste the file.', true);
}

/** @param {Photo} photo */
async function take(photo) {
  if (!photos.includes(photo)) return; // It was removed meanwhile.
  say(`${photo.name} (${photos.indexOf(photo) + 1} of ${photos.length}) …`);
  try {
    if (photo.folder) throw new Error('this is a folder; drop the photos inside it instead');
    await ready(); // It is loaded again if that failed before.
    photo.map = await saliency(photo.blob);
    await show(photo);
  } catch (error) {
    photo.map = undefined;
    const text = message(error);
    photo.error = text.startsWith(photo.name) ? text : `${photo.name}: ${text}`;
    await show(photo);
  }
  if (!current && photo.map) await select(photo);
  summarize();
}

/** Says how many photos are done, and the newest failure. */
function summarize() {
  const failed = photos.filter((each) => each.error);
  const done = photos.filter((each) => each.map).length;
  element('save-all').hidden = done < 2;
  if (!photos.length) return say('Ready.');
  const failures = failed.length ? `, ${failed.length} failed. ${failed.at(-1)?.error}` : '';
  say(`${done} of ${photos.length} done${failures}`, failed.length > 0);
}

/** @param {Photo} photo */
async function show(photo) {
  const item = document.createElement('li');
  if (photo.error) {
    item.className = 'wrong';
    const text = document.createElement('span');
    text.textContent = photo.error;
    item.append(text, button(photo, 'Try again', () => retry(photo)), button(photo, 'Remove', () => remove(photo)));
  } else {
    const whole = await createImageBitmap(photo.blob);
    const scale = Math.min(1, 144 / whole.height, 432 / whole.width);
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(whole.width * scale));
    canvas.height = Math.max(1, Math.round(whole.height * scale));
    canvas.getContext('2d')?.drawImage(whole, 0, 0, canvas.width, canvas.height);
    whole.close();
    item.append(button(photo, canvas, () => select(photo)));
  }
  if (photo.item) photo.item.replaceWith(item);
  else element('photos').append(item);
  photo.item = item;
}

/**
 * A button for a photo.
 * @param {Photo} photo
 * @param {string | HTMLCanvasElement} content
 * @param {() => void} press
 */
function button(photo, content, press) {
  const made = document.createElement('button');
  made.type = 'button';
  made.append(content);
  made.onclick = press;
  if (content instanceof HTMLCanvasElement) {
    content.setAttribute('role', 'img');
    content.setAttribute('aria-label', photo.name);
  } else made.setAttribute('aria-label', `${content}: ${photo.name}`);
  return made;
}

/** @param {Photo | undefined} photo */
const thumbnail = (photo) => (photo?.map ? photo.item?.querySelector('button') : undefined);

/**
 * Processes a photo that failed once more.
 * @param {Photo} photo
 */
function retry(photo) {
  photo.error = undefined;
  photo.item?.replaceChildren(`${photo.name} …`);
  element('files').focus();
  enqueue(photo);
}

/** @param {Photo | undefined} photo */
async function select(photo) {
  current = photo;
  element('editor').hidden = !photo;
  for (const each of photos) thumbnail(each)?.setAttribute('aria-current', String(each === photo));
  await draw();
  if (photo === current) await look(photo, summarize); // Otherwise another photo was selected meanwhile.
}

/**
 * Takes a photo out of the list.
 * @param {Photo | undefined} photo
 */
async function remove(photo) {
  const at = photos.findIndex((each) => each === photo);
  if (!photo || at < 0) return;
  photo.item?.remove();
  photos.splice(at, 1);
  forget(photo);
  const next = photos.slice(at).find((each) => each.map) ?? photos.filter((each) => each.map).at(-1);
  const shown = photo === current && select(next);
  (thumbnail(next) ?? element('files')).focus();
  summarize(); // Before the next photo is drawn, which may fail.
  await shown;
}

/** Draws the selected photo, and again if the options have changed meanwhile, but not for each change. */
function draw() {
  stale = true;
  drawing ??= (async () => {
    try {
      while (stale) {
        stale = false;
        await drawOnce();
      }
    } finally {
      drawing = undefined;
    }
  })();
  return drawing;
}

async function drawOnce() {
  const photo = current;
  if (!photo?.map) return;
  const {map} = photo;
  let failed = '';
  try {
    const pixels = await decode(photo.blob);
    const chosen = options();
    const result = await compose(pixels, map, chosen).catch((error) => {
      failed = message(error); // Reading the background's picture failed.
      return compose(pixels, map, {...chosen, background: 'transparent'});
    });
    if (stale) return;
    paint('before', pixels);
    paint('after', result);
    split();
  } catch (error) {
    failed = message(error);
  }
  if (stale) return;
  if (failed) say(failed, true);
  else settle();
}

/** Clears an error message whose cause may be gone. */
function settle() {
  if (status.classList.contains('wrong')) summarize();
}

/** @param {string} id @param {Pixels} pixels */
function paint(id, {width, height, data}) {
  const canvas = /** @type {HTMLCanvasElement} */ (element(id));
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')?.putImageData(new ImageData(/** @type {any} */ (data), width, height), 0, 0);
}

function split() {
  const share = Number(/** @type {HTMLInputElement} */ (element('split')).value);
  element('before').style.clipPath = `inset(0 ${100 - share}% 0 0)`;
}

element('files').onchange = (event) => {
  const input = /** @type {HTMLInputElement} */ (event.target);
  for (const file of input.files ?? []) add(file);
  input.value = ''; // The same file may be chosen again.
};
document.ondragover = (event) => {
  if (event.target === element('picture')) return; // This input takes files itself.
  event.preventDefault();
  element('drop').classList.add('over');
};
document.ondragleave = () => element('drop').classList.remove('over');
document.ondrop = (event) => {
  element('drop').classList.remove('over');
  if (event.target === element('picture')) return;
  event.preventDefault();
  addFrom(event.dataTransfer);
};
document.onpaste = (event) => addFrom(event.clipboardData);
follow(draw, settle);
element('split').oninput = split;
element('look').onclick = () => {
  const asked = element('look').getAttribute('aria-pressed') !== 'true';
  element('look').setAttribute('aria-pressed', String(asked));
  look(current, summarize);
};
element('save').onclick = () => current && save(current).catch((error) => say(message(error), true));
element('save-all').onclick = () => saveAll(photos).catch((error) => say(message(error), true));
element('remove').onclick = () => remove(current);

/**
 * Has the newest service worker, which serves the next visit, keep the files that it will need.
 * @param {Promise<boolean>} started
 */
async function keep(started) {
  if (!('serviceWorker' in navigator)) return;
  try {
    const registration = await navigator.serviceWorker.register('sw.js');
    await registration.update().catch(() => {}); // This fails offline.
    await navigator.serviceWorker.ready;
    if (!await started) return;
    const {wasm} = await load();
    const {installing, waiting, active} = registration;
    (installing ?? waiting ?? active)?.postMessage({keep: wasm}); // the large files, too
  } catch (error) {
    console.warn('Not kept for offline use:', error);
  }
}

const started = start();
queue = queue.then(async () => { await started; });
keep(started);
