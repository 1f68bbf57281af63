/**
 * @typedef {object} Loaded
 * @property {string} runs what the network runs on, in words
 * @property {string} name of the network
 * @property {boolean} attention whether its attention can be shown
 * @property {string[]} wasm names of the runtime's files that are worth keeping for offline use
 * @property {Model} model
 * @property {string} base
 * @property {'auto' | 'webgpu' | 'wasm'} accelerator
 */
/**
 * Loads the network, once. The functions below do so themselves if needed.
 * @param {LoadOptions} [options]
 * @returns {Promise<Loaded>}
 */
export function load({ base, accelerator, onProgress }?: LoadOptions): Promise<Loaded>;
/**
 * Returns the network's map of a photo: how much each pixel belongs to the object that stands out.
 * @param {Source} image
 * @param {LoadOptions} [options]
 * @returns {Promise<Saliency>} of the network's size
 */
export function saliency(image: Source, options?: LoadOptions): Promise<Saliency>;
/**
 * Returns where the network looked, for each module and each pixel of its map; see attention.js.
 * The first call loads a second file, as large as the network.
 * @param {Source} image
 * @param {LoadOptions} [options]
 * @returns {Promise<Attention[]>} coarse to fine
 */
export function attention(image: Source, options?: LoadOptions): Promise<Attention[]>;
/**
 * Cuts the object out of a photo, at the photo's own size.
 * @param {Source} image
 * @param {CutoutOptions & LoadOptions} [options]
 * @returns {Promise<Blob>}
 */
export function removeBackground(image: Source, options?: CutoutOptions & LoadOptions): Promise<Blob>;
/**
 * Cuts the object out of a photo, given its map. The network must have been loaded.
 * @param {Pixels} pixels
 * @param {Saliency} map
 * @param {CutoutOptions} [options]
 * @returns {Promise<Pixels>}
 */
export function compose(pixels: Pixels, map: Saliency, { edges, threshold, background }?: CutoutOptions): Promise<Pixels>;
export type Loaded = {
    /**
     * what the network runs on, in words
     */
    runs: string;
    /**
     * of the network
     */
    name: string;
    /**
     * whether its attention can be shown
     */
    attention: boolean;
    /**
     * names of the runtime's files that are worth keeping for offline use
     */
    wasm: string[];
    model: Model;
    base: string;
    accelerator: "auto" | "webgpu" | "wasm";
};
/**
 * RGBA
 */
export type Pixels = {
    width: number;
    height: number;
    data: Uint8ClampedArray;
};
export type Source = Blob | ImageData | ImageBitmap | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas;
/**
 * 0..1
 */
export type Saliency = {
    width: number;
    height: number;
    channels: number;
    data: Float32Array;
};
export type Attention = import("./attention.js").Attention;
export type LoadOptions = {
    /**
     * URL of the folder that `picanet web` wrote, on the
     * page's own origin; by default that of this module. Required with a bundler
     */
    base?: string | URL | undefined;
    /**
     * by default auto: WebGPU where it
     * runs the network, else WebAssembly
     */
    accelerator?: "auto" | "webgpu" | "wasm" | undefined;
    /**
     * called with bytes of the network, loaded and in all
     */
    onProgress?: ((done: number, total: number) => void) | undefined;
};
export type CutoutOptions = {
    /**
     * guided (the default): aligned with the photo's edges
     */
    edges?: "guided" | "plain" | undefined;
    /**
     * in 0..1; values of the map up to it are background; 0 by default
     */
    threshold?: number | undefined;
    /**
     * transparent (the default), blur, white, black, #rrggbb, RGB in 0..255, or a picture,
     * which is scaled and cropped to the photo's size
     */
    background?: string | Source | [number, number, number] | undefined;
    /**
     * of the result; PNG by default
     */
    type?: "image/png" | "image/webp" | "image/jpeg" | undefined;
    /**
     * of WebP and JPEG, 0..1
     */
    quality?: number | undefined;
};
export type NetworkFile = {
    file: string;
    runtime: string;
    bytes: number;
    sha256: string;
    imageSize: number;
    webgpu: boolean;
};
export type Model = NetworkFile & {
    name: string;
    attention?: NetworkFile & {
        modules: object[];
    };
};
import { decode } from './images.js';
import { encode } from './images.js';
export { decode, encode };
