/**
 * Resizing with antialiasing (`resample.ts`): in floats, as torch's `interpolate(antialias=True)` and Pillow's mode F, or in
 * bytes, as Pillow resizes pictures.
 *
 * @module
 */

import { BILINEAR, type Filter, type Window, windows } from "./resample.ts";

/** An image of bytes, `[height, width, 3]`. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** Of any image: 8192 x 8192, beyond what a diffusion model draws, and still memory that any machine has. */
export const MAX_PIXELS = 2 ** 26;

/** Red, green and blue, not rounded, `[height, width, 3]`, 0..255. */
export interface FloatImage {
  readonly width: number;
  readonly height: number;
  readonly rgb: Float32Array<ArrayBuffer>;
}

/** Kept in floats between the two axes. */
export function resize(
  image: RgbImage,
  width: number,
  height: number,
  filter = BILINEAR,
): FloatImage {
  const source = Float32Array.from(image.rgb);
  if (width === image.width && height === image.height) return { width, height, rgb: source };
  const columns = windows(image.width, width, filter);
  const rows = windows(image.height, height, filter);
  const narrow = new Float32Array(image.height * width * 3);
  for (let y = 0; y < image.height; y++) {
    columns.forEach((window, x) => {
      for (let c = 0; c < 3; c++) {
        const at = (k: number) => source[(y * image.width + window.start + k) * 3 + c]!;
        narrow[(y * width + x) * 3 + c] = weighted(window, at);
      }
    });
  }
  const rgb = new Float32Array(height * width * 3);
  rows.forEach((window, y) => {
    for (let i = 0; i < width * 3; i++) {
      rgb[y * width * 3 + i] = weighted(window, (k) => narrow[(window.start + k) * width * 3 + i]!);
    }
  });
  return { width, height, rgb };
}

function weighted({ weights }: Window, at: (k: number) => number): number {
  let sum = 0;
  for (let k = 0; k < weights.length; k++) sum += weights[k]! * at(k);
  return sum;
}

/** Pillow's weights of pictures in bytes: whole numbers, 1 is this. */
const ONE = 2 ** 22;

/** To the bit as Pillow: weights of 22 bits, rounded and clipped to bytes after each of the two axes. */
export function resizeBytes(
  image: RgbImage,
  width: number,
  height: number,
  filter: Filter,
): RgbImage {
  const narrow = width === image.width
    ? image.rgb
    : alongRows(image, windows(image.width, width, filter));
  if (height === image.height) return { width, height, rgb: narrow };
  const rgb = new Uint8Array(height * width * 3);
  windows(image.height, height, filter).forEach((window, y) => {
    const weights = wholeWeights(window);
    for (let i = 0; i < width * 3; i++) {
      let sum = ONE / 2;
      for (let k = 0; k < weights.length; k++) {
        sum += weights[k]! * narrow[(window.start + k) * width * 3 + i]!;
      }
      rgb[y * width * 3 + i] = toByte(sum);
    }
  });
  return { width, height, rgb };
}

function alongRows(image: RgbImage, columns: readonly Window[]): Uint8Array {
  const width = columns.length;
  const rgb = new Uint8Array(image.height * width * 3);
  columns.forEach((window, x) => {
    const weights = wholeWeights(window);
    for (let y = 0; y < image.height; y++) {
      for (let c = 0; c < 3; c++) {
        let sum = ONE / 2;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k]! * image.rgb[(y * image.width + window.start + k) * 3 + c]!;
        }
        rgb[(y * width + x) * 3 + c] = toByte(sum);
      }
    }
  });
  return rgb;
}

/** Rounded half away from 0. */
function wholeWeights({ weights }: Window): number[] {
  return weights.map((weight) => Math.trunc(weight * ONE + (weight < 0 ? -0.5 : 0.5)));
}

function toByte(sum: number): number {
  return Math.min(255, Math.max(0, Math.floor(sum / ONE)));
}
