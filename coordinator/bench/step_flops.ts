/** How many operations one U-Net call takes, counted from the graphs of its blocks. @module */

import type { Checkpoint } from "../../shared/checkpoint/checkpoint.ts";
import { sizeAtScale } from "../../shared/models/blocks.ts";
import { unetBlockGraph } from "../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../shared/models/unet/block_table.ts";
import { Weights } from "../../shared/models/weights.ts";
import { addFlops, type FlopCounts, graphFlops } from "../../shared/onnx/flops.ts";
import type { SessionConfig } from "../../shared/engine/expert.ts";

/** The time embedding is left out: it is computed once for all steps. */
export function stepFlops(
  { config, weights: table }: Checkpoint["unet"],
  { batch, height, width, encoderHiddenStates }: SessionConfig,
): FlopCounts {
  const weights = Weights.of(table);
  const tokens = encoderHiddenStates.shape[1]!;
  return unetBlockTable(config).map((block) => {
    const { inScale, outScale } = block;
    const sizes = new Map([
      ["B", batch],
      ["L", tokens],
      ["H", sizeAtScale(height, inScale)],
      ["W", sizeAtScale(width, inScale)],
      ["TH", sizeAtScale(height, outScale)],
      ["TW", sizeAtScale(width, outScale)],
    ]);
    return graphFlops(unetBlockGraph(block, config, weights), sizes);
  }).reduce(addFlops);
}
