/**
 * Resizing with antialiasing, as `torch.nn.functional.interpolate(mode="bilinear", antialias=True)` and Pillow's BILINEAR do (the paper's
 * data goes through the latter): a triangle as wide as the source pixels that one target pixel covers. Kept in floats between
 * the two axes, where Pillow rounds to bytes.
 *
 * @module
 */

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

/** The source pixels of one target pixel. */
interface Window {
  readonly start: number;
  /** Sum to 1. */
  readonly weights: readonly number[];
}

export function resize(image: RgbImage, width: number, height: number): FloatImage {
  const source = Float32Array.from(image.rgb);
  if (width === image.width && height === image.height) return { width, height, rgb: source };
  const columns = windows(image.width, width);
  const rows = windows(image.height, height);
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

/** By target pixel, along one axis. Enlarging, the triangle is one source pixel wide on each side: plain bilinear. */
function windows(sourceSize: number, targetSize: number): Window[] {
  const scale = sourceSize / targetSize;
  const reach = Math.max(1, scale);
  return Array.from({ length: targetSize }, (_, target) => {
    const centre = (target + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.min(sourceSize, Math.floor(centre + reach + 0.5));
    const raw = Array.from(
      { length: end - start },
      (_, k) => Math.max(0, 1 - Math.abs((start + k + 0.5 - centre) / reach)),
    );
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return { start, weights: raw.map((weight) => weight / sum) };
  });
}
