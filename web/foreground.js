// Removes the background's share from the colours of half-transparent pixels
// (picanet_tf/drawing/foreground.py; M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021).

import {boxMean, eachResizedRow, plane, rgba, shrink, windowRadius, workingSize} from './arrays.js';

/** @typedef {import('./arrays.js').Plane} Plane */

const RADII = [0.09, 0.01]; // of the two passes, as fractions of the longer side
const TINY = 1e-5;

/**
 * Estimates the object's own colours.
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image RGBA; its alpha weights the pixels
 * @param {Float32Array} alpha share of the object, in 0..1
 * @returns {Uint8ClampedArray} RGBA, with the image's own alpha
 */
export function estimateForeground(image, alpha) {
  const {width, height} = image;
  const size = workingSize(width, height);
  const small = shrink(rgba(image), size);
  const inside = shrink({width, height, channels: 1, data: alpha}, size).data;
  const count = size.width * size.height;
  const colours = plane(size.width, size.height, 3);
  const opacity = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) colours.data[3 * i + c] = small.data[4 * i + c] / 255;
    opacity[i] = small.data[4 * i + 3] / 255;
  }
  let foreground = colours, background = colours;
  let meanForeground = colours, meanBackground = colours;
  for (const fraction of RADII) {
    const radius = windowRadius(fraction, size);
    meanForeground = weightedMean(foreground, (i) => opacity[i] * inside[i], radius);
    meanBackground = weightedMean(background, (i) => opacity[i] * (1 - inside[i]), radius);
    foreground = plane(size.width, size.height, 3);
    for (let i = 0; i < count; i++) {
      for (let c = 3 * i; c < 3 * i + 3; c++) {
        const fused = inside[i] * meanForeground.data[c] + (1 - inside[i]) * meanBackground.data[c];
        const value = meanForeground.data[c] + inside[i] * (colours.data[c] - fused);
        foreground.data[c] = Math.min(1, Math.max(0, value));
      }
    }
    background = meanBackground;
  }
  const means = plane(size.width, size.height, 6);
  for (let i = 0; i < count; i++) {
    means.data.set(meanForeground.data.subarray(3 * i, 3 * i + 3), 6 * i);
    means.data.set(meanBackground.data.subarray(3 * i, 3 * i + 3), 6 * i + 3);
  }
  const result = new Uint8ClampedArray(image.data);
  let at = 0;
  eachResizedRow(means, width, height, (_, row) => {
    for (let x = 0; x < width; x++, at++) {
      const share = alpha[at];
      if (share <= 1 / 510 || share >= 1 - 1 / 510) continue; // 0 or 1 in 8 bits
      for (let c = 0; c < 3; c++) {
        const mean = 255 * row[6 * x + c];
        const fused = share * mean + (1 - share) * 255 * row[6 * x + 3 + c];
        result[4 * at + c] = mean + share * (image.data[4 * at + c] - fused);
      }
    }
  });
  return result;
}

/**
 * Returns the weighted means of the colours in the window around each pixel.
 * @param {Plane} colours
 * @param {(i: number) => number} weight
 * @param {number} radius
 * @returns {Plane}
 */
export function weightedMean(colours, weight, radius) {
  const weighted = plane(colours.width, colours.height, 4);
  const count = colours.width * colours.height;
  for (let i = 0; i < count; i++) {
    const w = weight(i);
    for (let c = 0; c < 3; c++) weighted.data[4 * i + c] = w * colours.data[3 * i + c];
    weighted.data[4 * i + 3] = w;
  }
  const sums = boxMean(weighted, radius).data;
  const result = plane(colours.width, colours.height, 3);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) {
      result.data[3 * i + c] = sums[4 * i + c] / (sums[4 * i + 3] + TINY);
    }
  }
  return result;
}
