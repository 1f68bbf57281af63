/** @typedef {import('./picanet.js').Pixels} Pixels */
/** @typedef {import('./picanet.js').Source} Source */
/** @typedef {import('./picanet.js').CutoutOptions} CutoutOptions */
/**
 * Decodes a picture to sRGB, rotated as its EXIF orientation says.
 * @param {Source} image
 * @param {{width: number, height: number}} [cover] a size to scale and crop to
 * @returns {Promise<Pixels>}
 */
export function decode(image: Source, cover?: {
    width: number;
    height: number;
}): Promise<Pixels>;
/** Throws an error if this browser lacks a feature that the page needs. */
export function checkBrowser(): void;
/**
 * @param {Pixels} pixels
 * @param {CutoutOptions} [options]
 * @returns {Promise<Blob>}
 */
export function encode({ width, height, data }: Pixels, { type, quality }?: CutoutOptions): Promise<Blob>;
export type Pixels = import("./picanet.js").Pixels;
export type Source = import("./picanet.js").Source;
export type CutoutOptions = import("./picanet.js").CutoutOptions;
