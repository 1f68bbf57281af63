// Resizes and filters planes of numbers like the Python package
// (picanet_tf/core/resizing.py, picanet_tf/drawing/box_filters.py).

/**
 * Numbers [height, width, channels], row-major.
 * @typedef {{width: number, height: number, channels: number, data: Float32Array}} Plane
 */

/**
 * A plane whose values may also be the bytes of an image, without copying them to floats.
 * @typedef {{width: number, height: number, channels: number, data: ArrayLike<number>}} Values
 */

/** Length of the longer side at which photos are analysed. */
export const WORKING_SIDE = 512;

/**
 * @param {number} width
 * @param {number} height
 * @param {number} channels
 * @param {Float32Array} [data]
 * @returns {Plane}
 */
export function plane(width, height, channels, data) {
  return {width, height, channels, data: data ?? new Float32Array(width * height * channels)};
}

/**
 * Returns an image as a plane. The spread syntax would not do: the properties of
 * `ImageData` are getters of its prototype.
 * @param {{width: number, height: number, data: Uint8ClampedArray}} image
 */
export function rgba({width, height, data}) {
  return {width, height, channels: 4, data};
}

/**
 * Returns which elements of an axis are interpolated when it is resized: half-pixel
 * centres, no antialiasing. In float32, like TensorFlow's kernel.
 * @param {number} before
 * @param {number} after
 */
function places(before, after) {
  const scale = Math.fround(before / after);
  const first = new Int32Array(after);
  const second = new Int32Array(after);
  const fraction = new Float32Array(after);
  for (let i = 0; i < after; i++) {
    const place = Math.fround(Math.fround(Math.fround(i + 0.5) * scale) - 0.5);
    const lower = Math.floor(place);
    first[i] = Math.max(lower, 0);
    second[i] = Math.min(Math.ceil(place), before - 1);
    fraction[i] = place - lower;
  }
  return {first, second, fraction};
}

/**
 * Resizes the width bilinearly.
 * @param {Values} values
 * @param {number} width
 * @returns {Plane}
 */
function resizeWidth(values, width) {
  const {height, channels, data} = values;
  const result = plane(width, height, channels);
  const {first, second, fraction} = places(values.width, width);
  for (let y = 0, to = 0; y < height; y++) {
    const row = y * values.width * channels;
    for (let x = 0; x < width; x++) {
      const a = row + first[x] * channels;
      const b = row + second[x] * channels;
      for (let c = 0; c < channels; c++) {
        const start = data[a + c];
        result.data[to++] = start + (data[b + c] - start) * fraction[x];
      }
    }
  }
  return result;
}

/**
 * Calls `use(y, row)` with each row of a plane that is resized bilinearly, top to bottom.
 * The row is reused: the resized plane is never in memory as a whole.
 * @param {Values} values
 * @param {number} width
 * @param {number} height
 * @param {(y: number, row: Float32Array) => void} use
 */
export function eachResizedRow(values, width, height, use) {
  const wide = values.width === width ? values : resizeWidth(values, width);
  const length = width * values.channels;
  const row = new Float32Array(length);
  const {first, second, fraction} = places(values.height, height);
  for (let y = 0; y < height; y++) {
    const a = first[y] * length;
    const b = second[y] * length;
    for (let i = 0; i < length; i++) {
      const start = wide.data[a + i];
      row[i] = start + (wide.data[b + i] - start) * fraction[y];
    }
    use(y, row);
  }
}

/**
 * Resizes bilinearly, as `tf.image.resize` does.
 * @param {Values} values
 * @param {number} width
 * @param {number} height
 * @returns {Plane}
 */
export function resize(values, width, height) {
  const result = plane(width, height, values.channels);
  eachResizedRow(values, width, height, (y, row) => result.data.set(row, y * row.length));
  return result;
}

/**
 * Rounds half to even, like Python.
 * @param {number} value
 */
function round(value) {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 ? down + 1 : down;
}

/**
 * Returns the size, reduced so that its longer side is at most `side`.
 * @param {number} width
 * @param {number} height
 * @param {number} [side]
 */
export function workingSize(width, height, side = WORKING_SIDE) {
  const factor = Math.min(1, side / Math.max(width, height));
  return {
    width: Math.max(1, round(width * factor)),
    height: Math.max(1, round(height * factor)),
  };
}

/**
 * Returns a fraction of the longer side in pixels, at least 1.
 * @param {number} fraction
 * @param {{width: number, height: number}} size
 */
export function windowRadius(fraction, {width, height}) {
  return Math.max(1, round(fraction * Math.max(width, height)));
}

/**
 * Returns which elements of a longer axis are averaged for each element of a shorter one:
 * those whose centres lie in it, as in Pillow's BOX.
 * @param {number} before
 * @param {number} after
 */
function boxes(before, after) {
  const scale = before / after;
  const first = new Int32Array(after);
  const last = new Int32Array(after);
  for (let i = 0; i < after; i++) {
    first[i] = Math.max(0, Math.floor(i * scale - 0.5) + 1);
    last[i] = Math.min(before, Math.floor((i + 1) * scale - 0.5) + 1);
  }
  return {first, last};
}

/**
 * Reduces by averaging; bytes are rounded after each axis, as Pillow does.
 * @param {Values} values
 * @param {{width: number, height: number}} size
 * @param {number} [take] how many channels to take, from the first; all by default
 * @returns {Plane}
 */
export function shrink(values, size, take = values.channels) {
  const bytes = values.data instanceof Uint8ClampedArray;
  const store = bytes ? (/** @type {number} */ v) => Math.floor(v + 0.5) : (/** @type {number} */ v) => v;
  const columns = boxes(values.width, size.width);
  const narrow = plane(size.width, values.height, take);
  for (let y = 0, to = 0; y < values.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const count = columns.last[x] - columns.first[x];
      for (let c = 0; c < take; c++, to++) {
        let sum = 0;
        for (let from = columns.first[x]; from < columns.last[x]; from++) {
          sum += values.data[(y * values.width + from) * values.channels + c];
        }
        narrow.data[to] = store(sum / count);
      }
    }
  }
  const rows = boxes(values.height, size.height);
  const result = plane(size.width, size.height, take);
  const length = size.width * take;
  for (let y = 0; y < size.height; y++) {
    const count = rows.last[y] - rows.first[y];
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (let from = rows.first[y]; from < rows.last[y]; from++) sum += narrow.data[from * length + i];
      result.data[y * length + i] = store(sum / count);
    }
  }
  return result;
}

/**
 * Averages over windows of 2 radius + 1 pixels a side, clipped at the borders.
 * @param {Plane} values
 * @param {number} radius
 * @returns {Plane}
 */
export function boxMean({width, height, channels, data}, radius) {
  const across = plane(width, height, channels);
  const length = width * channels;
  const sums = new Float64Array(Math.max(width, height) * channels + channels);
  const average = (/** @type {Float32Array} */ from, /** @type {Float32Array} */ to,
      /** @type {number} */ start, /** @type {number} */ step, /** @type {number} */ count) => {
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < channels; c++) {
        sums[(i + 1) * channels + c] = sums[i * channels + c] + from[start + i * step + c];
      }
    }
    for (let i = 0; i < count; i++) {
      const first = Math.max(i - radius, 0);
      const last = Math.min(i + radius + 1, count);
      for (let c = 0; c < channels; c++) {
        const sum = sums[last * channels + c] - sums[first * channels + c];
        to[start + i * step + c] = sum / (last - first);
      }
    }
  };
  for (let y = 0; y < height; y++) average(data, across.data, y * length, channels, width);
  const result = plane(width, height, channels);
  for (let x = 0; x < width; x++) {
    average(across.data, result.data, x * channels, length, height);
  }
  return result;
}
