/**
 * Which blocks are aggregated. Between two of them an expert runs on its own features, without a round
 * trip: `noise` (only the last block) turns AFA into an ensemble of N independent U-Nets.
 *
 * @module
 */

import { UsageError } from "../../shared/errors.ts";
import type { BlockId, BlockSpec } from "../../shared/models/blocks.ts";

/** Blocks `first..last` run in one call; their output is aggregated. */
export interface Segment {
  readonly first: BlockId;
  readonly last: BlockId;
}

/** Every block, only the noise at the end, or these blocks and the noise. */
export type AggregatedBlocks = "all" | "noise" | readonly BlockId[];

/** @throws {UsageError} if a block is not in the table */
export function aggregationPlan(
  blocks: readonly BlockSpec[],
  aggregated: AggregatedBlocks = "all",
): readonly Segment[] {
  const ids = blocks.map(({ id }) => id);
  if (typeof aggregated !== "string") {
    const unknown = aggregated.find((id) => !ids.includes(id));
    if (unknown !== undefined) {
      throw new UsageError(
        `Aggregated blocks must be among ${ids[0]}..${ids.at(-1)}: current value is "${unknown}"`,
      );
    }
  }
  const segments: Segment[] = [];
  let first: BlockId | undefined;
  for (const id of ids) {
    first ??= id;
    // The last block always: a sampler needs one noise.
    const ends = id === ids.at(-1) || aggregated === "all" ||
      (aggregated !== "noise" && aggregated.includes(id));
    if (!ends) continue;
    segments.push({ first, last: id });
    first = undefined;
  }
  return segments;
}
