// The page: photos come in by choice, drop or paste, and leave as cut-outs.

import {caption, contextOf, draw as drawContext} from './attention.js';
import {attention, compose, decode, encode, load, saliency} from './picanet.js';

/** @typedef {import('./picanet.js').Pixels} Pixels */
/** @typedef {{name: string, blob: Blob, item?: HTMLElement, map?: import('./picanet.js').Saliency, error?: string}} Photo */

/** @type {Photo[]} */
const photos = [];
/** @type {Photo | undefined} */
let current;
/** @type {Blob | undefined} */
let picture;
let drawing = 0; // number of the newest request to draw
/** @type {{photo: Photo, modules: import('./picanet.js').Attention[]} | undefined} */
let looked; // the attention of one photo only, since it is large
const pixel = {x: 0.5, y: 0.5}; // whose attention is shown, as shares of the photo

/** @template {HTMLElement} T @param {string} id @returns {T} */
const element = (id) => /** @type {any} */ (document.getElementById(id));
const status = element('status');
const threshold = /** @type {HTMLInputElement} */ (element('threshold'));
const background = /** @type {HTMLSelectElement} */ (element('background'));

/** @param {string} text @param {boolean} [wrong] */
function say(text, wrong = false) {
  status.textContent = /[.?!…]$/.test(text) ? text : `${text}.`;
  status.classList.toggle('wrong', wrong);
}

/** @param {number} done @param {number} total */
function advance(done, total) {
  const bar = /** @type {HTMLProgressElement} */ (element('progress'));
  bar.value = done / total;
  bar.hidden = done === total;
}

/** Loads the network, once, and says what it runs on. */
async function ready() {
  const {runs, name, attention: shown} = await load({onProgress: advance});
  element('runs').textContent = `${name} runs on ${runs}.`;
  element('look').hidden = !shown;
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
  } finally {
    element('progress').hidden = true;
  }
}

/** @param {unknown} error */
const message = (error) => (error instanceof Error ? error.message : String(error));

/** @type {Promise<void>} */
let queue = Promise.resolve();

/** @param {Iterable<File>} files */
function add(files) {
  for (const file of files) {
    const photo = {name: file.name || 'pasted.png', blob: file};
    photos.push(photo);
    queue = queue.then(() => take(photo));
  }
}

/** @param {Photo} photo */
async function take(photo) {
  if (!photos.includes(photo)) return; // It was removed meanwhile.
  say(`${photo.name} (${photos.indexOf(photo) + 1} of ${photos.length}) …`);
  try {
    await ready(); // Again, if it failed before.
    photo.map = await saliency(photo.blob);
    await show(photo);
  } catch (error) {
    photo.map = undefined;
    photo.error = message(error);
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
  const item = photo.item = document.createElement('li');
  if (photo.error) {
    item.className = 'wrong';
    item.textContent = photo.error;
  } else {
    const button = document.createElement('button');
    button.type = 'button';
    const whole = await createImageBitmap(photo.blob);
    const scale = Math.min(1, 144 / whole.height, 432 / whole.width);
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(whole.width * scale));
    canvas.height = Math.max(1, Math.round(whole.height * scale));
    canvas.getContext('2d')?.drawImage(whole, 0, 0, canvas.width, canvas.height);
    whole.close();
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', photo.name);
    button.append(canvas);
    button.onclick = () => select(photo);
    item.append(button);
  }
  element('photos').append(item);
}

/** @param {Photo | undefined} photo */
async function select(photo) {
  current = photo;
  element('editor').hidden = !photo;
  for (const each of photos) {
    each.item?.querySelector('button')?.setAttribute('aria-current', String(each === photo));
  }
  await draw();
  await look();
}

/** Takes the photo that is shown out of the list. */
async function remove() {
  const at = photos.findIndex((each) => each === current);
  if (at < 0) return;
  photos[at].item?.remove();
  photos.splice(at, 1);
  looked = undefined;
  const left = photos.filter((each) => each.map);
  const next = photos.slice(at).find((each) => each.map) ?? left.at(-1);
  await select(next);
  (next?.item?.querySelector('button') ?? element('files')).focus();
  summarize();
}

/** What the controls say. */
function options() {
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

async function draw() {
  const mine = ++drawing;
  const photo = current;
  if (!photo?.map) return;
  let failed = '';
  try {
    const pixels = await decode(photo.blob);
    const chosen = options();
    const result = await compose(pixels, photo.map, chosen).catch((error) => {
      failed = message(error); // of the background's picture
      return compose(pixels, /** @type {any} */ (photo.map), {...chosen, background: 'transparent'});
    });
    if (mine !== drawing) return; // A newer one is on its way.
    paint('before', pixels);
    paint('after', result);
    split();
  } catch (error) {
    failed = message(error);
  }
  if (mine !== drawing) return;
  if (failed) say(failed, true);
  else if (status.classList.contains('wrong')) summarize();
}

/** @param {string} id @param {Pixels} pixels */
function paint(id, {width, height, data}) {
  const canvas = /** @type {HTMLCanvasElement} */ (element(id));
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')?.putImageData(new ImageData(/** @type {any} */ (data), width, height), 0, 0);
}

/** Shows where the network looked for the marked pixel, if that was asked for. */
async function look() {
  const photo = current;
  const asked = element('look').getAttribute('aria-pressed') === 'true' && photo?.map;
  if (!asked || looked?.photo !== photo) element('looked').hidden = element('pixel').hidden = true;
  if (!asked || !photo?.map) return;
  if (looked?.photo !== photo) {
    say('Looking …');
    try {
      const modules = await attention(photo.blob, {onProgress: advance});
      if (photo !== current) return; // Another was chosen meanwhile.
      looked = {photo, modules};
      Object.assign(pixel, mostSalient(photo.map));
      summarize();
    } catch (error) {
      if (photo === current) say(message(error), true);
      return;
    } finally {
      element('progress').hidden = true;
    }
  }
  element('looked').hidden = element('pixel').hidden = element('look').getAttribute('aria-pressed') !== 'true';
  mark();
}

/** @param {import('./picanet.js').Saliency} map */
function mostSalient({width, height, data}) {
  let best = 0;
  for (let i = 1; i < data.length; i++) if (data[i] > data[best]) best = i;
  return {x: (best % width + 0.5) / width, y: (Math.floor(best / width) + 0.5) / height};
}

/** Marks the pixel and draws its attention in each module. */
function mark() {
  const button = element('pixel');
  button.style.left = `${100 * pixel.x}%`;
  button.style.top = `${100 * pixel.y}%`;
  button.setAttribute('aria-label', `Marked pixel: ${Math.round(100 * pixel.x)} % from the left, ` +
      `${Math.round(100 * pixel.y)} % from the top. The arrow keys move it.`);
  const photo = /** @type {HTMLCanvasElement} */ (element('before'));
  const scale = Math.min(1, 360 / Math.max(photo.width, photo.height));
  element('modules').replaceChildren(...(looked?.modules ?? []).map((module) => {
    const context = contextOf(module, pixel.x, pixel.y);
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(photo.width * scale));
    canvas.height = Math.max(1, Math.round(photo.height * scale));
    const drawing = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', {willReadFrequently: true}));
    drawing.drawImage(photo, 0, 0, canvas.width, canvas.height);
    drawContext(drawing, context);
    const text = document.createElement('span');
    text.textContent = caption(module, context);
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `Where ${module.label} looked`);
    const item = document.createElement('li');
    item.append(canvas, text);
    return item;
  }));
}

function split() {
  const share = Number(/** @type {HTMLInputElement} */ (element('split')).value);
  element('before').style.clipPath = `inset(0 ${100 - share}% 0 0)`;
}

const ENDINGS = {'image/png': 'png', 'image/webp': 'webp', 'image/jpeg': 'jpg'};

/** What the controls say, where it can be saved. */
function checkedOptions() {
  const chosen = options();
  if (background.value === 'picture' && !picture) throw new Error('Choose a picture for the background first.');
  if (chosen.type === 'image/jpeg' && chosen.background === 'transparent') {
    throw new Error('JPEG has no transparency: choose a background, or another format.');
  }
  return chosen;
}

/**
 * @param {Photo} photo
 * @param {ReturnType<typeof options>} chosen
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

async function saveAll() {
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

element('files').onchange = (event) => {
  const input = /** @type {HTMLInputElement} */ (event.target);
  add(input.files ?? []);
  input.value = ''; // The same file may be chosen again.
};
document.ondragover = (event) => {
  event.preventDefault();
  element('drop').classList.add('over');
};
document.ondragleave = () => element('drop').classList.remove('over');
document.ondrop = (event) => {
  event.preventDefault();
  element('drop').classList.remove('over');
  add(event.dataTransfer?.files ?? []);
};
document.onpaste = (event) => add(event.clipboardData?.files ?? []);
for (const id of ['threshold', 'edges', 'colour', 'background']) element(id).onchange = draw;
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
element('split').oninput = split;
element('look').onclick = () => {
  const asked = element('look').getAttribute('aria-pressed') !== 'true';
  element('look').setAttribute('aria-pressed', String(asked));
  look();
};
element('view').onclick = (event) => {
  if (element('pixel').hidden || event.target === element('pixel')) return;
  element('pixel').focus();
  const {left, top, width, height} = element('before').getBoundingClientRect();
  pixel.x = inside((event.clientX - left) / width);
  pixel.y = inside((event.clientY - top) / height);
  mark();
};
element('pixel').onkeydown = (event) => {
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (!step) return;
  event.preventDefault();
  pixel.x = inside(pixel.x + step[0] / 28); // a cell of the coarsest maps
  pixel.y = inside(pixel.y + step[1] / 28);
  mark();
};
/** @param {number} share */
const inside = (share) => Math.min(0.999, Math.max(0, share));
element('save').onclick = async () => {
  if (!current) return;
  try {
    const {blob, name} = await result(current, checkedOptions());
    download(blob, name);
  } catch (error) {
    say(message(error), true);
  }
};
element('save-all').onclick = () => saveAll().catch((error) => say(message(error), true));
element('remove').onclick = remove;

/**
 * Has the newest service worker, which serves the next visit, keep what that wants.
 * @param {Promise<boolean>} started
 */
async function keep(started) {
  if (!('serviceWorker' in navigator)) return;
  try {
    const registration = await navigator.serviceWorker.register('sw.js');
    await registration.update().catch(() => {}); // Offline there is none.
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
