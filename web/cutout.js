// Cuts an object out of its photo, given a map (picanet_tf/drawing/cutouts.py).

import {eachResizedRow, plane, rgba, shrink, windowRadius, workingSize, boxMean} from './arrays.js';
import {guideEdges} from './edges.js';
import {estimateForeground, weightedMean} from './foreground.js';

/** @typedef {import('./arrays.js').Plane} Plane */
/** @typedef {{width: number, height: number, data: Uint8ClampedArray}} Pixels RGBA */

const BLUR = 0.02; // radius of the blurred background, as a fraction of the longer side

/**
 * Composites a photo over white, which is how the network sees a transparent one.
 * @param {Pixels} image
 * @returns {Pixels} the photo itself if it is opaque
 */
export function overWhite(image) {
  let clear = 3;
  while (image.data[clear] === 255) clear += 4;
  if (clear >= image.data.length) return image; // Opaque, as most are.
  const data = new Uint8ClampedArray(image.data);
  for (let i = clear - 3; i < data.length; i += 4) {
    const share = data[i + 3];
    if (share === 255) continue;
    for (let c = i; c < i + 3; c++) data[c] = (share * data[c] + (255 - share) * 255) / 255;
    data[i + 3] = 255;
  }
  return {width: image.width, height: image.height, data};
}

/**
 * Resizes the map to the photo's size.
 * @param {Plane} saliency the network's map, in 0..1
 * @param {Pixels} image
 * @param {'guided' | 'plain'} edges
 * @returns {Float32Array}
 */
export function fullMap(saliency, image, edges) {
  if (edges === 'guided') return guideEdges(saliency, overWhite(image));
  const result = new Float32Array(image.width * image.height);
  eachResizedRow(saliency, image.width, image.height, (y, row) => result.set(row, y * image.width));
  return result;
}

/**
 * Maps values up to `threshold` to 0 and stretches the others to 0..1.
 * @param {number} value in 0..1
 * @param {number} threshold in 0..1; 0 changes nothing
 */
export function stretch(value, threshold) {
  if (threshold <= 0) return value;
  return Math.min(1, Math.max(0, (value - threshold) / Math.max(1 - threshold, 1e-6)));
}

/**
 * @param {Pixels} image
 * @param {Float32Array} alpha share of the object, in 0..1
 * @param {{kind: 'transparent'} | {kind: 'blur'} | {kind: 'colour', colour: [number, number, number]} |
 *     {kind: 'picture', pixels: Pixels}} background a picture has the photo's size
 * @returns {Pixels}
 */
export function cutOut(image, alpha, background) {
  const {width, height} = image;
  const data = estimateForeground(image, alpha);
  const behind = background.kind === 'blur' ? blurred(image, alpha) :
      background.kind === 'picture' ? overWhite(background.pixels).data : null;
  for (let i = 0, at = 0; i < alpha.length; i++, at += 4) {
    const share = alpha[i] * (image.data[at + 3] / 255);
    if (background.kind === 'transparent') {
      data[at + 3] = 255 * share;
      continue;
    }
    for (let c = 0; c < 3; c++) {
      const other = behind ? behind[at + c] : background.kind === 'colour' ? background.colour[c] : 0;
      data[at + c] = share * data[at + c] + (1 - share) * other;
    }
    data[at + 3] = 255;
  }
  return {width, height, data};
}

/**
 * Blurs the photo without its object, which would otherwise bleed into its surroundings.
 * @param {Pixels} image
 * @param {Float32Array} alpha
 * @returns {Uint8ClampedArray} RGBA
 */
function blurred(image, alpha) {
  const {width, height} = image;
  const size = workingSize(width, height);
  const small = shrink(rgba(image), size);
  const inside = shrink({width, height, channels: 1, data: alpha}, size).data;
  const count = size.width * size.height;
  const radius = windowRadius(BLUR, size);
  let weights = plane(size.width, size.height, 1);
  let colours = plane(size.width, size.height, 3);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) colours.data[3 * i + c] = small.data[4 * i + c] / 255;
    // Inside a large object, there are only its own colours.
    weights.data[i] = Math.max((1 - inside[i]) ** 4 * (small.data[4 * i + 3] / 255), 1e-3);
  }
  for (let pass = 0; pass < 3; pass++) { // Three boxes approximate a Gaussian.
    colours = weightedMean(colours, (i) => weights.data[i], radius);
    weights = boxMean(weights, radius);
  }
  const result = new Uint8ClampedArray(4 * width * height);
  let at = 0;
  eachResizedRow(colours, width, height, (_, row) => {
    for (let x = 0; x < width; x++, at += 4) {
      for (let c = 0; c < 3; c++) result[at + c] = 255 * row[3 * x + c];
      result[at + 3] = 255;
    }
  });
  return result;
}
