/** Medians and spread of repeated measurements. @module */

import { TuttiError } from "../../shared/errors.ts";

/** How far repeated measurements lie apart, in their own unit. */
export interface Spread {
  readonly runs: number;
  readonly min: number;
  /** A quarter of the runs is below. */
  readonly lowerQuartile: number;
  /** A quarter of the runs is above. */
  readonly upperQuartile: number;
  readonly max: number;
}

/** The middle value; of an even number the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @throws {TuttiError} INVALID_ARGUMENT without any value, or if one is no finite number */
export function spread(values: readonly number[]): Spread {
  return {
    runs: values.length,
    min: quantile(values, 0),
    lowerQuartile: quantile(values, 0.25),
    upperQuartile: quantile(values, 0.75),
    max: quantile(values, 1),
  };
}

/**
 * How fast values grow: the median of the slopes between all pairs of points (Theil and Sen), which a value that jumps now
 * and then, as a heap before it is collected, does not bend.
 *
 * @param points [x, y], at least two, of different x
 */
export function medianSlope(points: readonly (readonly [x: number, y: number])[]): number {
  return median(
    points.flatMap(([x, y], i) => points.slice(i + 1).map(([x2, y2]) => (y2 - y) / (x2 - x))),
  );
}

/** Between two values it is interpolated linearly, as NumPy's default does. */
function quantile(values: readonly number[], share: number): number {
  const odd = values.find((value) => !Number.isFinite(value));
  if (values.length === 0 || odd !== undefined) {
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `Measurements must be one or more finite numbers: current value is ${odd ?? "none"}`,
    );
  }
  const sorted = values.toSorted((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const [low, high] = [sorted[below]!, sorted[Math.ceil(position)]!];
  return low + (position - below) * (high - low);
}
