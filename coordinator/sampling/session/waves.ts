/**
 * How the rows of a step are split into waves: parts of the batch that travel on their own, so that one is computed
 * while another is on its way. The rows are `[uncond..., text...]`, one of each per image.
 *
 * @module
 */

import { UsageError } from "../../../shared/errors.ts";

/** Rows `start` to `end` (exclusive) of the batch. */
export interface WaveRows {
  readonly start: number;
  readonly end: number;
}

/**
 * Splits the rows of `halves` halves into `waves` waves of consecutive rows, as even as can be. The halves of guidance
 * are parted before anything else is: two waves are the unconditional rows and those with text.
 *
 * @param images rows of one half
 * @param halves 2 with guidance, otherwise 1
 * @param waves more than there are rows are as many as there are rows
 * @throws {UsageError} if `waves` is not a whole number >= 1
 */
export function splitIntoWaves(images: number, halves: number, waves: number): WaveRows[] {
  if (!Number.isSafeInteger(waves) || waves < 1) {
    throw new UsageError(`waves must be a whole number >= 1: current value is ${waves}`);
  }
  const rows = images * halves;
  if (waves === 1) return [{ start: 0, end: rows }];
  return splitEvenly({ start: 0, end: Math.min(waves, rows) }, halves).flatMap((share, half) =>
    splitEvenly({ start: half * images, end: (half + 1) * images }, share.end - share.start)
  );
}

/** Into parts of consecutive numbers whose lengths differ by one at most. */
function splitEvenly({ start, end }: WaveRows, parts: number): WaveRows[] {
  const count = end - start;
  const bound = (part: number) => start + Math.ceil(part * count / parts);
  return Array.from({ length: parts }, (_, i) => ({ start: bound(i), end: bound(i + 1) }));
}
