// Decodes pictures to pixels, and encodes pixels.

/** @typedef {import('./picanet.js').Pixels} Pixels */
/** @typedef {import('./picanet.js').Source} Source */
/** @typedef {import('./picanet.js').CutoutOptions} CutoutOptions */

/**
 * Decodes a picture to sRGB, rotated as its EXIF orientation says.
 * @param {Source} image
 * @param {{width: number, height: number}} [cover] a size to scale and crop to
 * @returns {Promise<Pixels>}
 */
export async function decode(image, cover) {
  if (image instanceof ImageData && !cover && image.colorSpace === 'srgb') return image;
  const bitmap = await openBitmap(image);
  try {
    const {width, height} = cover ?? bitmap;
    const context = canvas(width, height);
    const scale = Math.max(width / bitmap.width, height / bitmap.height);
    const [w, h] = cover ? [bitmap.width * scale, bitmap.height * scale] : [width, height];
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
    return context.getImageData(0, 0, width, height);
  } finally {
    bitmap.close();
  }
}

/** Throws an error if this browser lacks a feature that the page needs. */
export function checkBrowser() {
  if (typeof OffscreenCanvas === 'undefined') {
    throw new Error('This browser has no OffscreenCanvas: use Chrome 91, Firefox 114, Safari 16.4 or newer');
  }
}

/** @param {Source} image */
async function openBitmap(image) {
  checkBrowser();
  const kinds = [Blob, ImageData, ImageBitmap, HTMLImageElement, HTMLCanvasElement, OffscreenCanvas];
  if (!kinds.some((kind) => image instanceof kind)) {
    throw new TypeError(`An image must be a ${kinds.map(({name}) => name).join(', ')}, not ${image}`);
  }
  const name = (image instanceof File && image.name) || 'the picture';
  try {
    // Rotated by EXIF orientation, which is the default; Safari 16 does not know its name.
    return await createImageBitmap(image, {premultiplyAlpha: 'none'});
  } catch (error) {
    if (image instanceof Blob) {
      await image.arrayBuffer().catch(() => {
        throw new Error(`${name}: it can no longer be read; was it changed or removed?`);
      });
    }
    const loading = image instanceof HTMLImageElement && !image.complete;
    throw new Error(`${name}: ${loading ? 'it has not loaded yet: await its decode()' :
      'this browser cannot read it as a picture; if another program can, save it there as JPEG or PNG'}`);
  }
}

/**
 * @param {Pixels} pixels
 * @param {CutoutOptions} [options]
 * @returns {Promise<Blob>}
 */
export async function encode({width, height, data}, {type = 'image/png', quality} = {}) {
  const context = canvas(width, height);
  context.putImageData(new ImageData(/** @type {any} */ (data), width, height), 0, 0);
  const blob = await context.canvas.convertToBlob({type, quality});
  if (blob.type !== type) throw new Error(`This browser cannot write ${type}.`);
  return blob;
}

/**
 * @param {number} width
 * @param {number} height
 */
function canvas(width, height) {
  const context = new OffscreenCanvas(width, height).getContext('2d', {willReadFrequently: true});
  // A canvas that is too large has no memory and reads as empty.
  context?.fillRect(width - 1, height - 1, 1, 1);
  const last = context?.canvas.width && context.getImageData(width - 1, height - 1, 1, 1).data;
  if (!context || !last || !last[3]) throw new Error(`${width} x ${height} pixels are too many for this browser: make the picture smaller`);
  context.clearRect(width - 1, height - 1, 1, 1);
  return context;
}
