// The jobs that the worker does for picanet.js.

import {plane} from './arrays.js';
import {cutOut, fullMap, overWhite, stretch} from './cutout.js';
import {Engine} from './engine.js';

/** @typedef {import('./cutout.js').Pixels} Pixels */

/** @type {Record<string, Promise<Engine>>} by the network's file */
const engines = {};

/**
 * Does a job and posts `{id, result}` or `{id, error, fatal}`, preceded by any number of
 * `{id, progress: [done, total]}`.
 * @param {{id: number, job: string, [option: string]: any}} message
 */
export async function answer({id, job, ...options}) {
  try {
    const result = await JOBS[job](options, (done, total) => post({id, progress: [done, total]}));
    post({id, result}, buffersOf(result));
  } catch (error) {
    const fatal = error instanceof WebAssembly.RuntimeError; // such as for lack of memory: the runtime cannot go on
    post({id, error: error instanceof Error ? error.message : String(error), fatal});
  }
}

/**
 * Returns the buffers of a result, which are transferred rather than copied.
 * @param {any} result
 * @returns {Transferable[]}
 */
function buffersOf(result) {
  const values = Array.isArray(result) ? result.map((each) => each.weights) : [result.data];
  return values.filter(Boolean).map((each) => each.buffer);
}

/**
 * @param {object} message
 * @param {Transferable[]} [transfer]
 */
function post(message, transfer = []) {
  /** @type {any} */ (self).postMessage(message, transfer);
}

/** @type {Record<string, (options: any, progress: (done: number, total: number) => void) => Promise<any>>} */
const JOBS = {
  /** Loads a network. */
  async load({base, file, accelerator}, progress) {
    engines[file.file] ??= Engine.load(base, file, accelerator, progress);
    try {
      const {runs, wasm} = await engines[file.file];
      return {runs, wasm};
    } catch (error) {
      delete engines[file.file]; // So that it can be tried again.
      throw error;
    }
  },

  /** Returns the network's map of a photo. */
  async saliency({pixels, file}) {
    const engine = await engines[file.file];
    const {saliency} = await engine.predict(overWhite(pixels));
    return plane(engine.side, engine.side, 1, saliency);
  },

  /** Returns where the network looked. */
  async attention({pixels, file}) {
    const engine = await engines[file.file];
    const outputs = await engine.predict(overWhite(pixels));
    return file.modules.map((/** @type {any} */ module) => ({...module, weights: outputs[module.output]}));
  },

  /** Returns the cut-out of a photo, given its map. */
  async cutOut({pixels, saliency, edges, threshold, background}) {
    const alpha = fullMap(saliency, pixels, edges);
    if (threshold > 0) for (let i = 0; i < alpha.length; i++) alpha[i] = stretch(alpha[i], threshold);
    return cutOut(pixels, alpha, background);
  },
};
