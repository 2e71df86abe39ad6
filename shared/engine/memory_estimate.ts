/**
 * Whether a model fits into memory, told before loading: otherwise the system ends the process in the middle of an image
 * without a word.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { WeightTable } from "../models/weights.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/tensor.ts";
import { formatBytes } from "../terminal/units.ts";

/** Bytes of the weights in the dtype that CPU kernels compute in: f32, whatever the file holds. */
export function computeBytes(tables: readonly WeightTable[]): number {
  let elements = 0;
  for (const table of tables) {
    for (const { shape } of table.values()) elements += elementCount(shape);
  }
  return elements * DTYPES.float32.bytes;
}

/**
 * @param neededBytes of one lane
 * @param availableBytes what the system can give without swapping
 * @throws {TuttiError} RESOURCE_EXHAUSTED with both numbers and what can be done
 */
export function checkMemory(
  model: string,
  neededBytes: number,
  lanes: number,
  availableBytes: number,
): void {
  const needed = neededBytes * lanes;
  if (needed <= availableBytes) return;
  const perLane = lanes === 1 ? "" : ` (${lanes} lanes of ${formatBytes(neededBytes)} each)`;
  throw new TuttiError(
    "RESOURCE_EXHAUSTED",
    `Model "${model}" needs about ${
      formatBytes(needed)
    } of memory for its weights in f32${perLane}: ` +
      `${
        formatBytes(availableBytes)
      } are available. Free some, use fewer lanes, or serve it from another machine`,
    { details: { neededBytes: String(needed), availableBytes: String(availableBytes) } },
  );
}
