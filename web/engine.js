// Runs the network in the browser with LiteRT.js.

import {Tensor, isWebGPUSupported, loadAndCompile, loadLiteRt, supportsFeature} from '@litertjs/core';

import {plane, resize, rgba} from './arrays.js';

/** @typedef {import('./arrays.js').Plane} Plane */
/** @typedef {import('./cutout.js').Pixels} Pixels */
/** @typedef {import('./picanet.js').NetworkFile} NetworkFile */
/** @typedef {'auto' | 'webgpu' | 'wasm'} Accelerator */
/** @typedef {import('@litertjs/core').CompiledModel} CompiledModel */

/** @typedef {{threads: boolean, wasm: string[]}} Runtime */

/** @type {Promise<Runtime> | undefined} */
let runtime;

/**
 * Loads LiteRT.js, once.
 * @param {string} folder URL
 * @returns {Promise<Runtime>} `threads`: whether it runs on several threads; `wasm`: the
 *     file that it loaded, and the one that it loads once the page may use threads
 */
function loadRuntime(folder) {
  runtime ??= (async () => {
    const simd = await supportsFeature('relaxedSimd');
    const threads = simd && self.crossOriginIsolated === true && await supportsFeature('threads');
    // In a worker, Emscripten looks for its files beside the worker's script.
    /** @type {any} */ (self).Module = {
      // LiteRT writes all its messages to stderr.
      printErr: (/** @type {string} */ text) => (/^(INFO|WARNING)/.test(text) ? console.debug : console.error)(text),
      locateFile: (/** @type {string} */ name) => folder + name,
      mainScriptUrlOrBlob: `${folder}litert_wasm_threaded_internal.js`,
    };
    await loadLiteRt(folder, {threads});
    const kinds = threads ? ['_threaded'] : simd ? ['', '_threaded'] : ['_compat'];
    return {threads, wasm: kinds.map((kind) => `litert_wasm${kind}_internal.wasm`)};
  })().catch((error) => {
    runtime = undefined;
    throw error;
  });
  return runtime;
}

/** A compiled network. */
export class Engine {
  /**
   * @param {CompiledModel} model
   * @param {number} side of the network's input, in pixels
   * @param {string} runs what it runs on, in words
   * @param {string[]} wasm see `loadRuntime`
   */
  constructor(model, side, runs, wasm) {
    this.model = model;
    this.side = side;
    this.runs = runs;
    this.wasm = wasm;
  }

  /**
   * Loads the runtime and a network.
   * @param {string} base URL of the folder with the runtime and the network
   * @param {NetworkFile} file
   * @param {Accelerator} accelerator
   * @param {(done: number, total: number) => void} progress called with the network's bytes, loaded and in all
   */
  static async load(base, file, accelerator, progress) {
    const data = await fetchNetwork(new URL(file.file, base).href, file, progress);
    const {threads, wasm} = await loadRuntime(new URL(file.runtime, base).href);
    const unchecked = self.crypto.subtle ? '' : '; its checksum is not checked without HTTPS';
    if (accelerator !== 'wasm' && file.webgpu && await hasGPU()) {
      const model = await compileForGPU(data, file.imageSize);
      if (model) return new Engine(model, file.imageSize, `WebGPU${unchecked}`, wasm);
    }
    if (accelerator === 'webgpu') throw new Error('This browser cannot run the network with WebGPU.');
    const cpu = threads ? `WebAssembly, ${navigator.hardwareConcurrency} threads` : 'WebAssembly, one thread';
    const model = await loadAndCompile(data, {accelerator: 'wasm'});
    return new Engine(model, file.imageSize, cpu + unchecked, wasm);
  }

  /**
   * Returns the outputs for a photo.
   * @param {Pixels} image without transparency
   * @returns {Promise<Record<string, Float32Array>>} by name; `saliency` in 0..1, of the
   *     network's size
   */
  async predict(image) {
    const small = resize(rgba(image), this.side, this.side).data;
    const colours = plane(this.side, this.side, 3);
    for (let i = 0, at = 0; at < small.length; at += 4) {
      for (let c = at; c < at + 3; c++) colours.data[i++] = small[c];
    }
    return run(this.model, colours);
  }
}

async function hasGPU() {
  if (!isWebGPUSupported()) return false;
  return Boolean(await /** @type {any} */ (navigator).gpu.requestAdapter().catch(() => null));
}

/**
 * Compiles a network for WebGPU if all of it runs there; LiteRT.js would silently run the
 * rest, or all of it, on WebAssembly.
 * @param {Uint8Array} data
 * @param {number} side
 * @returns {Promise<CompiledModel | undefined>}
 */
async function compileForGPU(data, side) {
  /** @type {CompiledModel | undefined} */
  let model;
  try {
    model = await loadAndCompile(data, {accelerator: 'webgpu'});
    if (model.isFullyAccelerated) {
      await run(model, plane(side, side, 3)); // Some networks fail only when they are run.
      return model;
    }
  } catch (error) {
    console.warn('No WebGPU:', error);
  }
  model?.delete();
}

/**
 * Runs a network.
 * @param {CompiledModel} model
 * @param {Plane} input RGB, 0..255, of the network's size
 * @returns {Promise<Record<string, Float32Array>>}
 */
async function run(model, input) {
  const tensor = new Tensor(input.data, [1, input.height, input.width, 3]);
  /** @type {import('@litertjs/core').Tensor[]} */
  const held = [tensor]; // The browser does not collect the runtime's memory.
  try {
    /** @type {Record<string, Float32Array>} */
    const found = {};
    const outputs = await model.run({image: tensor});
    held.push(...Object.values(outputs));
    for (const [name, output] of Object.entries(outputs)) {
      const values = output.accelerator === 'wasm' ? output : await output.copyTo('wasm');
      if (values !== output) held.push(values);
      found[name] = new Float32Array(values.toTypedArray());
    }
    return found;
  } finally {
    for (const each of held) each.delete();
  }
}

/**
 * Fetches a network and checks its SHA-256.
 * @param {string} url
 * @param {NetworkFile} file
 * @param {(done: number, total: number) => void} progress
 * @returns {Promise<Uint8Array>}
 */
export async function fetchNetwork(url, file, progress) {
  // A cached copy may be damaged: then the file is requested again, past all caches.
  for (const cache of /** @type {RequestCache[]} */ (['default', 'reload'])) {
    const data = await download(url, file, cache, progress).catch((error) => {
      throw new Error(`${file.file}: ${error.message}. Was the whole folder copied? If there is a new version, reload the page.`);
    });
    // `crypto.subtle` exists on HTTPS and localhost only.
    if (data && (!self.crypto.subtle || await sha256(data) === file.sha256)) return data;
  }
  throw new Error(`${file.file} is damaged or belongs to another version of the page. Was the whole folder copied?`);
}

/**
 * @param {string} url
 * @param {NetworkFile} file
 * @param {RequestCache} cache
 * @param {(done: number, total: number) => void} progress
 * @returns {Promise<Uint8Array<ArrayBuffer> | undefined>} undefined if the size is wrong
 */
async function download(url, file, cache, progress) {
  const response = await fetch(url, {cache});
  if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
  const data = new Uint8Array(file.bytes);
  const reader = response.body.getReader();
  for (let done = 0; ;) {
    const part = await reader.read();
    if (part.done) return done === file.bytes ? data : undefined;
    if (done + part.value.length > file.bytes) {
      await reader.cancel();
      return undefined;
    }
    data.set(part.value, done);
    done += part.value.length;
    progress(done, file.bytes);
  }
}

/** @param {Uint8Array<ArrayBuffer>} data */
async function sha256(data) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
