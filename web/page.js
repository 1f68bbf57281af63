// Helpers that the page's modules share.

/**
 * @typedef {object} Photo
 * @property {string} name
 * @property {Blob} blob
 * @property {boolean} folder whether it is a folder, not a photo
 * @property {HTMLElement} [item] its item in the list
 * @property {import('./picanet.js').Saliency} [map]
 * @property {string} [error]
 */

/** @template {HTMLElement} T @param {string} id @returns {T} */
export const element = (id) => /** @type {any} */ (document.getElementById(id));
export const status = element('status');

/** @param {string} text @param {boolean} [wrong] */
export function say(text, wrong = false) {
  status.textContent = /[.?!…]$/.test(text) ? text : `${text}.`;
  status.classList.toggle('wrong', wrong);
}

/** @param {number} done @param {number} total */
export function advance(done, total) {
  const bar = /** @type {HTMLProgressElement} */ (element('progress'));
  bar.value = done / total;
  bar.hidden = done === total;
}

/** @param {unknown} error */
export const message = (error) => (error instanceof Error ? error.message : String(error));
