// PiCANet in the browser: finds the object that stands out in a photo, and cuts it out.
//
//     import {removeBackground} from 'picanet';
//     const blob = await removeBackground(file);            // a PNG with transparency
//
// The work runs in a worker, and the photo stays on this machine.

import {checkBrowser, decode, encode} from './images.js';

export {decode, encode};

/** @typedef {{width: number, height: number, data: Uint8ClampedArray}} Pixels RGBA */
/** @typedef {Blob | ImageData | ImageBitmap | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas} Source */
/** @typedef {{width: number, height: number, channels: number, data: Float32Array}} Saliency 0..1 */

/** @typedef {import('./attention.js').Attention} Attention */

/**
 * @typedef {object} LoadOptions
 * @property {string | URL} [base] URL of the folder that `picanet web` wrote, on the
 *     page's own origin; by default that of this module. Required with a bundler
 * @property {'auto' | 'webgpu' | 'wasm'} [accelerator] by default auto: WebGPU where it
 *     runs the network, else WebAssembly
 * @property {(done: number, total: number) => void} [onProgress] called with bytes of the network, loaded and in all
 */

/**
 * @typedef {object} CutoutOptions
 * @property {'guided' | 'plain'} [edges] guided (the default): aligned with the photo's edges
 * @property {number} [threshold] in 0..1; values of the map up to it are background; 0 by default
 * @property {'transparent' | 'blur' | string | [number, number, number] | Source} [background]
 *     transparent (the default), blur, white, black, #rrggbb, RGB in 0..255, or a picture,
 *     which is scaled and cropped to the photo's size
 * @property {'image/png' | 'image/webp' | 'image/jpeg'} [type] of the result; PNG by default
 * @property {number} [quality] of WebP and JPEG, 0..1
 */

/** @typedef {{file: string, runtime: string, bytes: number, sha256: string, imageSize: number, webgpu: boolean}} NetworkFile */
/** @typedef {NetworkFile & {name: string, attention?: NetworkFile & {modules: object[]}}} Model */

// In a variable, since bundlers would treat `new URL(..., import.meta.url)` as a file to copy.
const HERE = import.meta.url;

/** @type {Worker | undefined} */
let worker;
/** @type {Map<number, {resolve: Function, reject: Function, progress?: Function}>} */
const waiting = new Map();
let jobs = 0;
/** @type {Promise<Loaded> | undefined} */
let loading;
let loadingFrom = {folder: '', accelerator: ''};
/** @type {Loaded | undefined} */
let latest; // the last load that succeeded; if the worker fails, its replacement loads the same

/**
 * @typedef {object} Loaded
 * @property {string} runs what the network runs on, in words
 * @property {string} name of the network
 * @property {boolean} attention whether its attention can be shown
 * @property {string[]} wasm names of the runtime's files that are worth keeping for offline use
 * @property {Model} model
 * @property {string} base
 * @property {'auto' | 'webgpu' | 'wasm'} accelerator
 */

/**
 * Loads the network, once. The functions below do so themselves if needed.
 * @param {LoadOptions} [options]
 * @returns {Promise<Loaded>}
 */
export async function load({base, accelerator, onProgress} = {}) {
  if (!loading) {
    base ??= latest?.base;
    accelerator ??= latest?.accelerator;
  }
  const url = new URL(base ?? HERE, self.location.href);
  if (base && !url.pathname.endsWith('/')) url.pathname += '/';
  const folder = new URL('.', url).href;
  if (loading && ((base && folder !== loadingFrom.folder) || (accelerator && accelerator !== loadingFrom.accelerator))) {
    throw new Error(`The network was loaded from ${loadingFrom.folder} for accelerator ` +
        `${loadingFrom.accelerator}: base and accelerator only count in the first call.`);
  }
  loading ??= loadFrom(folder, accelerator ?? 'auto', onProgress).catch((error) => {
    stop(error);
    throw error;
  });
  return loading;
}

/**
 * @param {string} folder
 * @param {'auto' | 'webgpu' | 'wasm'} accelerator
 * @param {LoadOptions['onProgress']} onProgress
 * @returns {Promise<Loaded>}
 */
async function loadFrom(folder, accelerator, onProgress) {
  if (!['auto', 'webgpu', 'wasm'].includes(accelerator)) {
    throw new TypeError(`accelerator must be auto, webgpu or wasm, not ${accelerator}`);
  }
  checkBrowser();
  loadingFrom = {folder, accelerator};
  /** @type {Model} */
  let model;
  try {
    const answer = await fetch(`${folder}model.json`);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    model = await answer.json();
  } catch (error) {
    throw new Error(`${folder}model.json: ${error instanceof Error ? error.message : error}. base must be the URL of ` +
        "the folder that picanet web wrote, on the page's own origin and permitted by its Content-Security-Policy.");
  }
  worker = start(new URL('worker.js', folder));
  const {runs, wasm} = await ask('load', {base: folder, file: model, accelerator}, onProgress);
  latest = {runs, wasm, name: model.name, attention: Boolean(model.attention), model, base: folder, accelerator};
  return latest;
}

/**
 * Returns the network's map of a photo: how much each pixel belongs to the object that stands out.
 * @param {Source} image
 * @param {LoadOptions} [options]
 * @returns {Promise<Saliency>} of the network's size
 */
export async function saliency(image, options) {
  const {model} = await load(options);
  return ask('saliency', {pixels: await decode(image), file: model});
}

/**
 * Returns where the network looked, for each module and each pixel of its map; see attention.js.
 * The first call loads a second file, as large as the network.
 * @param {Source} image
 * @param {LoadOptions} [options]
 * @returns {Promise<Attention[]>} coarse to fine
 */
export async function attention(image, options = {}) {
  const {model, base, accelerator} = await load(options);
  const file = model.attention && {...model.attention, runtime: model.runtime};
  if (!file) throw new Error('This page has no attention to show: write the page with picanet web --attention.');
  await ask('load', {base, file, accelerator}, options.onProgress);
  return ask('attention', {pixels: await decode(image), file});
}

/**
 * Cuts the object out of a photo, at the photo's own size.
 * @param {Source} image
 * @param {CutoutOptions & LoadOptions} [options]
 * @returns {Promise<Blob>}
 */
export async function removeBackground(image, options = {}) {
  checkOptions(options);
  const {model} = await load(options);
  const pixels = await decode(image);
  const map = await ask('saliency', {pixels, file: model});
  return encode(await compose(pixels, map, options), options);
}

/**
 * Cuts the object out of a photo, given its map. The network must have been loaded.
 * @param {Pixels} pixels
 * @param {Saliency} map
 * @param {CutoutOptions} [options]
 * @returns {Promise<Pixels>}
 */
export async function compose(pixels, map, {edges = 'guided', threshold = 0, background = 'transparent'} = {}) {
  checkOptions({edges, threshold, background});
  for (const [what, {width, height, data}, channels] of /** @type {[string, Pixels | Saliency, number][]} */ (
    [['pixels', pixels ?? {}, 4], ['map', map ?? {}, 1]])) {
    if (!width || data?.length !== width * height * channels) {
      throw new TypeError(`${what} must have width x height x ${channels} values`);
    }
  }
  if (latest) await load(); // Again, if the worker has failed.
  const behind = await parseBackground(background, pixels);
  return ask('cutOut', {pixels, saliency: map, edges, threshold, background: behind});
}

/** @type {Record<string, [number, number, number]>} */
const NAMED = {white: [255, 255, 255], black: [0, 0, 0]};
const OPTIONS = ['edges', 'threshold', 'background', 'type', 'quality', 'base', 'accelerator', 'onProgress'];

/** @param {CutoutOptions & LoadOptions} options */
function checkOptions(options) {
  const unknown = Object.keys(options).filter((name) => !OPTIONS.includes(name));
  if (unknown.length) throw new TypeError(`Unknown option ${unknown.join(', ')}; the options are ${OPTIONS.join(', ')}.`);
  const {edges = 'guided', threshold = 0, background = 'transparent', type = 'image/png', quality} = options;
  if (edges !== 'guided' && edges !== 'plain') throw new TypeError(`edges must be guided or plain, not ${edges}`);
  if (!(threshold >= 0 && threshold < 1)) throw new RangeError(`threshold must be at least 0 and below 1, not ${threshold}`);
  if (quality !== undefined && !(quality >= 0 && quality <= 1)) {
    throw new RangeError(`quality must be in 0..1, not ${quality}`);
  }
  if (type === 'image/jpeg' && background === 'transparent') {
    throw new TypeError('type image/jpeg has no transparency: give a background');
  }
  if (Array.isArray(background) || (typeof background === 'string' && !['transparent', 'blur'].includes(background))) {
    colourOf(background);
  }
}

/**
 * @param {string | number[]} background
 * @returns {[number, number, number]}
 */
function colourOf(background) {
  if (typeof background === 'string') {
    if (background in NAMED) return NAMED[background];
    const [, ...digits] = /^#(..)(..)(..)$/.exec(/^#[0-9a-f]{6}$/i.test(background) ? background : '') ?? [];
    if (digits.length) return /** @type {any} */ (digits.map((pair) => parseInt(pair, 16)));
  } else if (background.length === 3 && background.every((part) => part >= 0 && part <= 255)) {
    return /** @type {any} */ (background);
  }
  throw new TypeError('background must be transparent, blur, white, black, #rrggbb, [red, green, blue] in 0..255 or ' +
      `a picture, not ${background}`);
}

/**
 * @param {NonNullable<CutoutOptions['background']>} background
 * @param {{width: number, height: number}} size
 */
async function parseBackground(background, size) {
  if (background === 'transparent' || background === 'blur') return {kind: background};
  if (typeof background === 'string' || Array.isArray(background)) {
    return {kind: 'colour', colour: colourOf(background)};
  }
  return {kind: 'picture', pixels: await decode(background, size)};
}

/**
 * Has the worker do a job.
 * @param {string} job
 * @param {object} options
 * @param {Function} [progress]
 * @returns {Promise<any>}
 */
function ask(job, options, progress) {
  const id = ++jobs;
  return new Promise((resolve, reject) => {
    if (!worker) return reject(new Error('The network is not loaded: call load first.'));
    worker.postMessage({id, job, ...options});
    waiting.set(id, {resolve, reject, progress});
  });
}

/** @param {URL} url */
function start(url) {
  const started = new Worker(url);
  started.onmessage = ({data: {id, result, error, fatal, progress}}) => {
    const job = waiting.get(id);
    if (!job) return;
    if (fatal) return stop(new Error(error));
    if (progress) return job.progress?.(...progress);
    waiting.delete(id);
    if (error === undefined) job.resolve(result);
    else job.reject(new Error(error));
  };
  started.onerror = (event) => {
    started.terminate();
    if (worker !== started) return; // Another has taken its place.
    stop(new Error(event.message || `${url}: the worker failed to start.`));
  };
  return started;
}

/**
 * Stops the worker; its pending jobs fail with the error. The next call of `load` starts another one.
 * @param {unknown} error
 */
function stop(error) {
  worker?.terminate();
  worker = loading = undefined;
  for (const job of waiting.values()) job.reject(error);
  waiting.clear();
}
