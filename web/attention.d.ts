/**
 * @param {Attention} attention
 * @param {number} x of the pixel, as a share of the photo's width
 * @param {number} y
 * @returns {Context}
 */
export function contextOf({ weights, kind, map, kernel_size: k, positions, dilation_rate: step }: Attention, x: number, y: number): Context;
/**
 * Interpolates the attention over the photo: bilinear between positions, constant beyond
 * the outer ones, NaN outside the context's region.
 * @param {Context} context
 * @param {number} width of the result
 * @param {number} height
 * @returns {Float32Array}
 */
export function spread({ weights, rows, columns, map, box: [left, top, right, bottom] }: Context, width: number, height: number): Float32Array;
/**
 * Draws a context over a photo: a heat map from the least to the most attention, and a
 * frame around the context's region.
 * @param {CanvasRenderingContext2D} canvas with the photo
 * @param {Context} context
 */
export function draw(canvas: CanvasRenderingContext2D, context: Context): void;
/**
 * Describes what the colours of `draw` stand for.
 * @param {Module} module
 * @param {Context} context
 */
export function caption({ label, kind }: Module, { weights }: Context): string;
/**
 * A module of the network, as `picanet export --attention` describes it.
 */
export type Module = {
    /**
     * name of the output
     */
    output: string;
    /**
     * such as D6
     */
    label: string;
    kind: "GAP" | "LAP" | "AC";
    /**
     * height and width of the module's map
     */
    map: [number, number];
    /**
     * positions along each side of the context
     */
    kernel_size: number;
    /**
     * of a global context (GAP), along each side of the map
     */
    positions?: number[] | undefined;
    /**
     * distance between the positions of a local context (LAP, AC)
     */
    dilation_rate?: number | undefined;
};
/**
 * weights [height, width, K * K]
 */
export type Attention = Module & {
    weights: Float32Array;
};
/**
 * What one pixel attends to in one module.
 */
export type Context = {
    /**
     * [K, K]
     */
    weights: Float32Array;
    /**
     * positions on the map; those of a local context may lie outside it
     */
    rows: number[];
    columns: number[];
    /**
     * height and width
     */
    map: [number, number];
    /**
     * left, top, right, bottom, as shares of the photo
     */
    box: [number, number, number, number];
};
