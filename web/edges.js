// Guided upsampling: gives a blurred map the edges of its photo
// (picanet_tf/drawing/edges.py; K. He and J. Sun, "Fast Guided Filter", arXiv:1505.00996).

import {boxMean, eachResizedRow, plane, resize, rgba, shrink, windowRadius, workingSize} from './arrays.js';

/** @typedef {import('./arrays.js').Plane} Plane */

const RADIUS = 0.02; // of the longer side
const EPSILON = 1e-4; // variance of the guide in 0..1; below it, the guide is smoothed

/**
 * Squares the odds of a value in 0..1.
 * @param {number} value
 */
function sharpen(value) {
  const rest = (1 - value) * (1 - value);
  return (value * value) / (value * value + rest);
}

/**
 * @param {Plane} saliency the network's map, in 0..1, of any size
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image RGBA, without transparency
 * @returns {Float32Array} the map at the photo's size, in 0..1
 */
export function guideEdges(saliency, image) {
  const size = workingSize(image.width, image.height);
  // As in Python, the map is resized to the photo's size first.
  const coarse = resize(resize(saliency, image.width, image.height), size.width, size.height);
  for (let i = 0; i < coarse.data.length; i++) {
    coarse.data[i] = sharpen(Math.min(1, Math.max(0, coarse.data[i])));
  }
  const guide = shrink(rgba(image), size, 3);
  for (let i = 0; i < guide.data.length; i++) guide.data[i] /= 255;
  const model = linearModel(guide, coarse.data, windowRadius(RADIUS, size));
  const refined = new Float32Array(image.width * image.height);
  let to = 0;
  eachResizedRow(model, image.width, image.height, (_, row) => {
    for (let x = 0; x < image.width; x++, to++) {
      const value =
        (row[4 * x] * image.data[4 * to] +
          row[4 * x + 1] * image.data[4 * to + 1] +
          row[4 * x + 2] * image.data[4 * to + 2]) / 255 + row[4 * x + 3];
      refined[to] = sharpen(Math.min(1, Math.max(0, value)));
    }
  });
  return refined;
}

/**
 * Fits values = slopes . guide + offset in each window, and averages slopes and offsets
 * over the windows of each pixel.
 * @param {Plane} guide
 * @param {Float32Array} values
 * @param {number} radius
 * @returns {Plane} three slopes and an offset for each pixel
 */
function linearModel(guide, values, radius) {
  const {width, height} = guide;
  // The means of: r g b, value, rr rg rb gg gb bb, r.value g.value b.value.
  const products = plane(width, height, 13);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = guide.data.subarray(3 * i, 3 * i + 3);
    const v = values[i];
    products.data.set([r, g, b, v, r * r, r * g, r * b, g * g, g * b, b * b, r * v, g * v, b * v], 13 * i);
  }
  const means = boxMean(products, radius).data;
  const model = plane(width, height, 4);
  for (let i = 0; i < width * height; i++) {
    const [r, g, b, v, rr, rg, rb, gg, gb, bb, rv, gv, bv] = means.subarray(13 * i, 13 * i + 13);
    const a = rr - r * r + EPSILON, d = gg - g * g + EPSILON, f = bb - b * b + EPSILON;
    const ab = rg - r * g, ac = rb - r * b, bc = gb - g * b;
    const x = rv - r * v, y = gv - g * v, z = bv - b * v;
    // Inverts a symmetric matrix by its cofactors.
    const c11 = d * f - bc * bc, c12 = ac * bc - ab * f, c13 = ab * bc - ac * d;
    const determinant = a * c11 + ab * c12 + ac * c13;
    const c22 = a * f - ac * ac, c23 = ab * ac - a * bc, c33 = a * d - ab * ab;
    const s = (c11 * x + c12 * y + c13 * z) / determinant;
    const t = (c12 * x + c22 * y + c23 * z) / determinant;
    const u = (c13 * x + c23 * y + c33 * z) / determinant;
    model.data.set([s, t, u, v - s * r - t * g - u * b], 4 * i);
  }
  return boxMean(model, radius);
}
