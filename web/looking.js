// Shows where the network looked: a pixel of the photo is marked, and its attention drawn.

import {caption, contextOf, draw as drawContext} from './attention.js';
import {advance, element, message, say} from './page.js';
import {attention} from './picanet.js';

/** @typedef {import('./page.js').Photo} Photo */

/** @type {{photo: Photo, modules: import('./picanet.js').Attention[]} | undefined} */
let looked; // the attention of one photo only, since it is large
/** @type {Photo | undefined} */
let shown;
let looks = 0; // counts the computations, to recognize the newest
const pixel = {x: 0.5, y: 0.5}; // the marked pixel, as shares of the photo's width and height

const asked = () => element('look').getAttribute('aria-pressed') === 'true';

/**
 * Shows where the network looked for the marked pixel, if that was asked for.
 * @param {Photo | undefined} photo the selected photo
 * @param {() => void} summarize restores the status text
 */
export async function look(photo, summarize) {
  shown = photo;
  if (!asked() || !photo || looked?.photo !== photo) element('looked').hidden = element('pixel').hidden = true;
  if (!asked() || !photo?.map) return;
  if (looked?.photo !== photo) {
    const mine = ++looks;
    say('Looking …');
    try {
      const modules = await attention(photo.blob, {onProgress: advance});
      if (mine === looks) summarize();
      if (photo !== shown) return; // Another photo was selected meanwhile.
      looked = {photo, modules};
      Object.assign(pixel, mostSalient(photo.map));
    } catch (error) {
      if (mine === looks) say(message(error), true);
      return;
    } finally {
      element('progress').hidden = true;
    }
  }
  element('looked').hidden = element('pixel').hidden = !asked();
  mark();
}

/**
 * Frees the attention of a photo.
 * @param {Photo} photo
 */
export function forget(photo) {
  if (looked?.photo === photo) {
    looked = undefined;
    element('modules').replaceChildren();
  }
  if (shown === photo) shown = undefined; // Its attention may still be computed.
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
  button.setAttribute('aria-label', `Marked pixel: ${Math.round(100 * pixel.x)}% from the left, ` +
      `${Math.round(100 * pixel.y)}% from the top. Use the arrow keys to move it.`);
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
