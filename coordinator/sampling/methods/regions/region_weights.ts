/** From the regions of the experts to a weight of each expert at each latent pixel. @module */

import type { PictureSize } from "../definition.ts";
import type { Box } from "./region_text.ts";

/** 1 where a box holds the centre of a latent pixel, else 0. */
export function boxCoverage(boxes: readonly Box[], picture: PictureSize): Float64Array {
  const { latentWidth, latentHeight } = picture;
  const coverage = new Float64Array(latentWidth * latentHeight);
  for (let y = 0; y < latentHeight; y++) {
    for (let x = 0; x < latentWidth; x++) {
      const [across, down] = [(x + 0.5) / latentWidth, (y + 0.5) / latentHeight];
      const isInside = boxes.some(({ left, top, right, bottom }) =>
        left <= across && across < right && top <= down && down < bottom
      );
      coverage[y * latentWidth + x] = isInside ? 1 : 0;
    }
  }
  return coverage;
}

export interface WeightOptions {
  /** Index of the expert that plays where no region is. @default all, alike */
  readonly rest?: number | undefined;
  /** Width of soft edges, in shares of the picture's shorter side. */
  readonly feather: number;
}

/**
 * Weights that sum to 1 at each pixel. Where regions overlap they share by what they cover; what they leave uncovered is the
 * rest's. Then every edge is softened, but for the picture's own.
 *
 * @param coverage 0 to 1 at each latent pixel, `[H W]`, for each expert
 */
export function regionWeights(
  coverage: readonly Float64Array[],
  picture: PictureSize,
  { rest, feather }: WeightOptions,
): Float64Array[] {
  const shared = coverage.map((own, expert) =>
    own.map((covered, pixel) => {
      const sum = coverage.reduce((total, each) => total + each[pixel]!, 0);
      if (sum >= 1) return covered / sum;
      const share = rest === undefined ? 1 / coverage.length : Number(expert === rest);
      return covered + (1 - sum) * share;
    })
  );
  const shorter = Math.min(picture.latentWidth, picture.latentHeight);
  const taps = edgeTaps(feather * shorter);
  const soft = shared.map((own) => softened(own, picture, taps));
  // Rounding alone: where one expert is all there is, its weight is 1 to the bit.
  return soft.map((own) =>
    own.map((weight, pixel) => weight / soft.reduce((total, each) => total + each[pixel]!, 0))
  );
}

/** A raised cosine as wide as the edge, sums to 1; blurred with it a hard edge is a smooth step of that width. */
function edgeTaps(width: number): number[] {
  const reach = Math.max(0, Math.ceil(width / 2) - 1);
  const raised = Array.from(
    { length: 2 * reach + 1 },
    (_, k) => reach === 0 ? 1 : 1 + Math.cos(2 * Math.PI * (k - reach) / width),
  );
  const sum = raised.reduce((total, tap) => total + tap, 0);
  return raised.map((tap) => tap / sum);
}

/** Along both axes; beyond the picture its outermost pixels go on. */
function softened(
  values: Float64Array,
  { latentWidth: width, latentHeight: height }: PictureSize,
  taps: readonly number[],
): Float64Array {
  const reach = (taps.length - 1) / 2;
  const within = (i: number, size: number) => Math.min(Math.max(i, 0), size - 1);
  const blurred = (at: (offset: number) => number) =>
    taps.reduce((sum, tap, k) => sum + tap * at(k - reach), 0);
  const across = values.map((_, i) => {
    const [x, row] = [i % width, i - i % width];
    return blurred((offset) => values[row + within(x + offset, width)]!);
  });
  return across.map((_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return blurred((offset) => across[within(y + offset, height) * width + x]!);
  });
}
