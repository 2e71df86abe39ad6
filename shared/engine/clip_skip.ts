/**
 * Text states of an earlier layer than the last. Whoever does not ask for them pays nothing: the graphs are
 * built and loaded at the first call. The last layer but one (by far the most asked for) takes
 * the usual graph's second output and a graph that holds the final layer norm alone; earlier ones take a shorter
 * encoder, whose weights then stand beside the whole one's. There is one such encoder at a time.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import { finalLayerNormGraph, shortClipTextGraph } from "../models/clip_text.ts";
import type { ClipTextConfig } from "../models/config/clip_config.ts";
import { Weights, type WeightTable } from "../models/weights.ts";
import type { F32Tensor, Tensor } from "../tensor/tensor.ts";
import type { GraphRunner } from "./graph_runner.ts";

/** What the graphs are built from. */
export interface SkipSource {
  readonly config: ClipTextConfig;
  readonly table: WeightTable;
  /** Of the encoder's usual graph. */
  readonly name: string;
}

export interface SkipRequest {
  /** int64 `[B, L]` */
  readonly inputIds: Tensor<"int64">;
  /** f32 `[B, L, D]` */
  readonly penultimateHiddenState: F32Tensor;
  /** > 1 */
  readonly clipSkip: number;
}

/** @throws {TuttiError} INVALID_ARGUMENT if the encoder has no such layer */
export function checkClipSkip(clipSkip: number, numLayers: number): void {
  if (Number.isSafeInteger(clipSkip) && clipSkip >= 1 && clipSkip <= numLayers) return;
  throw new TuttiError(
    "INVALID_ARGUMENT",
    `clip_skip must be a whole number in 1..${numLayers}, the text encoder's layers: ` +
      `current value is ${clipSkip}`,
    { details: { field: "clip_skip" } },
  );
}

/** The `clipSkip`-th hidden state from the end, after the final layer norm, f32 `[B, L, D]`. */
export async function skippedHiddenState(
  runner: GraphRunner,
  source: SkipSource,
  { inputIds, penultimateHiddenState, clipSkip }: SkipRequest,
): Promise<F32Tensor> {
  const hiddenState = clipSkip === 2
    ? penultimateHiddenState
    : await earlierHiddenState(runner, source, inputIds, clipSkip);
  const { config, table, name } = source;
  const graph = `${name}_final_layer_norm`;
  runner.add(graph, () => finalLayerNormGraph(config, Weights.of(table), graph));
  const { outputs } = await runner.run(graph, { hidden_state: hiddenState }, {
    last_hidden_state: { dtype: "float32", shape: hiddenState.shape },
  });
  return outputs.last_hidden_state as F32Tensor;
}

/** Without final layer norm, f32 `[B, L, D]`. */
async function earlierHiddenState(
  runner: GraphRunner,
  { config, table, name }: SkipSource,
  inputIds: Tensor<"int64">,
  clipSkip: number,
): Promise<F32Tensor> {
  const family = `${name}_skip_`;
  const graph = `${family}${clipSkip}`;
  // Only a lane that is closed refuses, and it holds nothing any more.
  runner.releaseGraphs((other) => other.startsWith(family) && other !== graph).catch(() => {});
  const numLayers = config.numLayers - clipSkip + 1;
  runner.add(graph, () => shortClipTextGraph(config, Weights.of(table), graph, numLayers));
  const shape = [...inputIds.shape, config.hiddenSize];
  const { outputs } = await runner.run(graph, { input_ids: inputIds }, {
    hidden_state: { dtype: "float32", shape },
  });
  return outputs.hidden_state as F32Tensor;
}
