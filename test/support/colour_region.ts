/**
 * Finds the pixels of one colour in a picture, and where their middle is.
 *
 * @module
 */

import type { PngImage } from "../../coordinator/image/png.ts";

/** Hues in degrees, from and below. */
export const GREEN = [80, 160] as const;
export const YELLOW = [35, 75] as const;

export interface ColourRegion {
  /** Share of the picture's pixels. */
  readonly share: number;
  /** Middle of the pixels, as a share of width and height from the top left. */
  readonly x: number;
  readonly y: number;
}

/** Below this largest channel a pixel is dark; above it, and with this saturation, it has a hue. */
const DARK_BELOW = 70;
const MIN_SATURATION = 0.4;

/** Pixels that are bright and coloured, with a hue in the range. */
export function colourRegion(
  { width, height, rgb }: PngImage,
  [from, below]: readonly [number, number],
): ColourRegion {
  let count = 0, sumX = 0, sumY = 0;
  for (let i = 0; i < width * height; i++) {
    const { hue, value, saturation } = hsv(rgb.subarray(3 * i, 3 * i + 3));
    if (value < DARK_BELOW || saturation < MIN_SATURATION || hue < from || hue >= below) continue;
    count++;
    sumX += (i % width + 0.5) / width;
    sumY += (Math.floor(i / width) + 0.5) / height;
  }
  return { share: count / (width * height), x: sumX / count, y: sumY / count };
}

/** Share of dark pixels. */
export function darkShare({ width, height, rgb }: PngImage): number {
  let count = 0;
  for (let i = 0; i < width * height; i++) {
    if (Math.max(...rgb.subarray(3 * i, 3 * i + 3)) < DARK_BELOW) count++;
  }
  return count / (width * height);
}

/** Hue in degrees, value in 0..255, saturation in 0..1. */
function hsv(pixel: Uint8Array): { hue: number; value: number; saturation: number } {
  const [r = 0, g = 0, b = 0] = pixel;
  const value = Math.max(r, g, b);
  const chroma = value - Math.min(r, g, b);
  if (chroma === 0) return { hue: 0, value, saturation: 0 };
  const sextant = value === r
    ? ((g - b) / chroma + 6) % 6
    : value === g
    ? (b - r) / chroma + 2
    : (r - g) / chroma + 4;
  return { hue: 60 * sextant, value, saturation: chroma / value };
}
