/** A blur of one channel, as wide as stable-diffusion-webui's of masks. @module */

/** How far the kernel reaches, in standard deviations. */
const REACH = 2.5;

/**
 * @param values row by row
 * @param sigma in pixels; 0 changes nothing
 */
export function gaussianBlur(
  values: Float32Array,
  { width, height }: { readonly width: number; readonly height: number },
  sigma: number,
): Float32Array {
  if (sigma === 0) return values;
  const reach = Math.round(REACH * sigma);
  const kernel = Array.from(
    { length: 2 * reach + 1 },
    (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)),
  );
  const along = (source: Float32Array, size: number, step: number, count: number, next: number) => {
    const blurred = new Float32Array(source.length);
    for (let line = 0; line < count; line++) {
      for (let i = 0; i < size; i++) {
        let sum = 0, weights = 0;
        for (let k = -reach; k <= reach; k++) {
          // Beyond the ends the pixels at the ends go on.
          const at = Math.min(size - 1, Math.max(0, i + k));
          sum += kernel[k + reach]! * source[line * next + at * step]!;
          weights += kernel[k + reach]!;
        }
        blurred[line * next + i * step] = sum / weights;
      }
    }
    return blurred;
  };
  return along(along(values, width, 1, height, width), height, width, width, 1);
}
