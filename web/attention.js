// Where the network looked for a pixel, drawn over the photo
// (picanet_tf/drawing/attention.py; Figure 5 of the paper).

/**
 * A module of the network, as `picanet export --attention` describes it.
 * @typedef {object} Module
 * @property {string} output name of the output
 * @property {string} label such as D6
 * @property {'GAP' | 'LAP' | 'AC'} kind
 * @property {[number, number]} map height and width of the module's map
 * @property {number} kernel_size positions along each side of the context
 * @property {number[]} [positions] of a global context (GAP), along each side of the map
 * @property {number} [dilation_rate] distance between the positions of a local context (LAP, AC)
 */

/** @typedef {Module & {weights: Float32Array}} Attention weights [height, width, K * K] */

/**
 * What one pixel attends to in one module.
 * @typedef {object} Context
 * @property {Float32Array} weights [K, K]
 * @property {number[]} rows positions on the map; those of a local context may lie outside it
 * @property {number[]} columns
 * @property {[number, number]} map height and width
 * @property {[number, number, number, number]} box left, top, right, bottom, as shares of the photo
 */

const OPACITY = 0.55; // of the heat map over the photo

/**
 * @param {Attention} attention
 * @param {number} x of the pixel, as a share of the photo's width
 * @param {number} y
 * @returns {Context}
 */
export function contextOf({weights, kind, map, kernel_size: k, positions = [], dilation_rate: step = 1}, x, y) {
  const [height, width] = map;
  const row = Math.min(height - 1, Math.floor(y * height));
  const column = Math.min(width - 1, Math.floor(x * width));
  const start = (row * width + column) * k * k;
  const local = (/** @type {number} */ place) => Array.from({length: k}, (_, i) => place + (i - (k - 1) / 2) * step);
  const rows = kind === 'GAP' ? positions : local(row);
  const columns = kind === 'GAP' ? positions : local(column);
  return {
    weights: weights.subarray(start, start + k * k), rows, columns, map,
    box: kind === 'GAP' ? [0, 0, 1, 1] : [
      Math.max(columns[0], 0) / width, Math.max(rows[0], 0) / height,
      Math.min(columns[k - 1] + 1, width) / width, Math.min(rows[k - 1] + 1, height) / height,
    ],
  };
}

/**
 * Interpolates the attention over the photo: bilinear between positions, constant beyond
 * the outer ones, NaN outside the context's region.
 * @param {Context} context
 * @param {number} width of the result
 * @param {number} height
 * @returns {Float32Array}
 */
export function spread({weights, rows, columns, map, box: [left, top, right, bottom]}, width, height) {
  const result = new Float32Array(width * height).fill(NaN);
  const k = columns.length;
  for (let j = 0; j < height; j++) {
    const y = (j + 0.5) / height;
    if (y < top || y > bottom) continue;
    const [row, down] = between(y * map[0] - 0.5, rows);
    for (let i = 0; i < width; i++) {
      const x = (i + 0.5) / width;
      if (x < left || x > right) continue;
      const [column, across] = between(x * map[1] - 0.5, columns);
      const next = Math.min(column + 1, k - 1), below = Math.min(row + 1, k - 1) * k;
      const upper = (1 - across) * weights[row * k + column] + across * weights[row * k + next];
      const lower = (1 - across) * weights[below + column] + across * weights[below + next];
      result[j * width + i] = (1 - down) * upper + down * lower;
    }
  }
  return result;
}

/**
 * The position before a place, and how far the place is on the way to the next one.
 * @param {number} place
 * @param {number[]} positions
 * @returns {[number, number]}
 */
function between(place, positions) {
  const last = positions.length - 1;
  if (last === 0 || place <= positions[0]) return [0, 0];
  if (place >= positions[last]) return [last, 0];
  const index = Math.floor((place - positions[0]) / (positions[1] - positions[0]));
  return [index, (place - positions[index]) / (positions[index + 1] - positions[index])];
}

/**
 * Draws a context over a photo: a heat map from the least to the most attention, and a
 * frame around the context's region.
 * @param {CanvasRenderingContext2D} canvas with the photo
 * @param {Context} context
 */
export function draw(canvas, context) {
  const {width, height} = canvas.canvas;
  const values = spread(context, width, height);
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const picture = canvas.getImageData(0, 0, width, height);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    const place = high > low ? Math.round(255 * (values[i] - low) / (high - low)) : 0;
    for (let c = 0; c < 3; c++) {
      const at = 4 * i + c;
      picture.data[at] = OPACITY * TURBO[3 * place + c] + (1 - OPACITY) * picture.data[at];
    }
  }
  canvas.putImageData(picture, 0, 0);
  const [left, top, right, bottom] = context.box;
  canvas.strokeStyle = 'red';
  canvas.lineWidth = 2;
  canvas.strokeRect(left * width + 1, top * height + 1, (right - left) * width - 2, (bottom - top) * height - 2);
}

/**
 * Describes what the colours of `draw` stand for.
 * @param {Module} module
 * @param {Context} context
 */
export function caption({label, kind}, {weights}) {
  const low = Math.min(...weights), high = Math.max(...weights);
  if (kind === 'AC') return `${label} ${kind}: gates ${low.toFixed(2)} to ${high.toFixed(2)}`;
  const count = weights.length;
  return `${label} ${kind}: ${(low * count).toFixed(2)} to ${(high * count).toFixed(2)} times the average`;
}

// Google's Turbo colormap (Anton Mikhailov, 2019, Apache-2.0): 256 RGB values.
const TURBO = Uint8Array.from(atob(
    'MBI7MhVDMxhKNBtRNR5YNiFfNyRmOCdtOSpzOi15Oy+APDKGPTWLPjiRPzuXPz6cQECiQUOnQUasQkmxQku1Q066RFG/RFTDRFbHRVnLRVzPRV' +
    '7TRmHWRmTaRmbdRmngRmvjR27mR3HpR3PrR3buR3jwR3vyRn30RoD2RoL4RoX6Rof7RYr8RYz9RI/+Q5H+QpT/QZb/QJn/Ppv+PZ7+O6D9OqP8' +
    'OKX7N6j6Nav4M633Ma/1L7L0LrTyLLfwKrnuKLzrJ77pJcDnI8PkIsXiIMffH8ndHsvaHM3YG9DVGtLSGtTQGdXNGNfKGNnIGNvFGN3CGN7AGO' +
    'C9GeK7GeO5GuS2HOa0HeeyH+mvIOqsIuuqJeynJ+6kKu+hLPCeL/GbMvKYNfOUOPSRPPWOP/aKQ/eHRviESviATvl9Uvp6Vfp2WftzXfxvYfxs' +
    'Zf1paf1mbf5icf5fdf5cef5Zff9WgP9ThP9RiP9Oi/9Lj/9Jkv9Hlv5Emf5CnP5An/0/of09pPw8p/w6qfs5rPs4r/o3sfk2tPg2t/c1ufY1vP' +
    'U0vvQ0wfM0w/E0xvA0yO80y+00zew00Oo00uk11Oc11+U12eQ22+I23eA339834d0349s45dk459c56dU569M57NE67s8678068cs68sk69Mc6' +
    '9cU69sM698E6+L45+bw5+ro5+7g4+7Y3/LM2/LE2/a41/aw0/qkz/qcy/qQx/qEw/p4v/pst/pks/pYr/pMq/pAp/Y0n/Yom/Icl/IQj+4Ei+3' +
    '4h+nsf+Xge+XUd+HIc928a9mwZ9WkY9GYX82MV8mAU8V0T8FsS71gR7VUQ7FMP61AO6k4N6EsM50kM5UcL5EUK4kMK4UEJ3z8I3T0I3DsH2jkH' +
    '2DcG1jUG1DMF0jEF0C8Fzi0EzCsEyioEyCgDxSYDwyUDwSMCviECvCACuR4Ctx0CtBsBshoBrxgBrBcBqRYBpxQBpBMBoRIBnhABmw8BmA4BlQ' +
    '0BkgsBjgoBiwkCiAgChQcCgQYCfgUCegQD'), (letter) => letter.charCodeAt(0));
