/**
 * The text encoders of one expert: SD1.5 has one, SDXL a second one whose pooled output is projected. A file may bring
 * none.
 *
 * @module
 */

import type { Part } from "../checkpoint/checkpoint.ts";
import { ShapeError } from "../errors.ts";
import { clipTextGraph, textProjectionGraph } from "../models/clip_text.ts";
import type { ClipTextConfig } from "../models/config/clip_config.ts";
import { Weights } from "../models/weights.ts";
import type { Graph } from "../onnx/graph.ts";
import { checkTensor } from "../tensor/check.ts";
import { f32, type F32Tensor, type Tensor } from "../tensor/tensor.ts";
import { checkClipSkip, skippedHiddenState } from "./clip_skip.ts";
import type { TextDescription, TextEncoding } from "./expert.ts";
import type { GraphRunner } from "./graph_runner.ts";

export interface TextEncoder {
  readonly description: TextDescription;
  readonly graphs: readonly Graph[];
  encode(runner: GraphRunner, inputIds: Tensor<"int64">, clipSkip: number): Promise<TextEncoding>;
}

/** Whether a graph of this name is a text encoder's, or part of one. */
export function isTextGraph(name: string): boolean {
  return name.startsWith("text_");
}

const PROJECTION_KEYS = ["text_projection", "text_projection.weight"];

/**
 * @param index 0, or 1 for SDXL's second encoder
 * @param options.isLast whether its pooled output is the model's. The first of two encoders is read for its states alone;
 *   a projection that its file has is left out
 * @throws {FormatError} if the weights do not fit the config
 */
export function textEncoder(
  { config, weights: table }: Part<ClipTextConfig>,
  index: number,
  { model, isLast }: { readonly model: string; readonly isLast: boolean },
): TextEncoder {
  const name = index === 0 ? "text_encoder" : `text_encoder_${index + 1}`;
  const weights = Weights.of(table);
  const isProjected = isLast && PROJECTION_KEYS.some((key) => table.has(key));
  const graphs = [
    clipTextGraph(config, weights, name),
    ...(isProjected ? [textProjectionGraph(config, weights)] : []),
  ];
  weights.check(`Text encoder ${index + 1} of "${model}"`);
  const { projectionDim = config.hiddenSize } = config;
  const { vocabSize, maxLength, hiddenSize, bosTokenId, eosTokenId, padTokenId } = config;
  const pooledDim = isProjected ? projectionDim : hiddenSize;
  const description = {
    vocabSize,
    maxLength,
    hiddenSize,
    bosTokenId,
    eosTokenId,
    padTokenId,
    pooledDim,
  };
  const project = async (runner: GraphRunner, pooled: F32Tensor) => {
    if (!isProjected) return pooled;
    const shape = [pooled.shape[0]!, projectionDim];
    const { outputs } = await runner.run("text_projection", { pooled }, {
      text_embeds: { dtype: "float32", shape },
    });
    return outputs.text_embeds as F32Tensor;
  };
  return {
    description,
    graphs,
    encode: async (runner, inputIds, clipSkip) => {
      checkClipSkip(clipSkip, config.numLayers);
      const states = await hiddenStates(runner, name, description, inputIds);
      const pooled = await project(
        runner,
        poolAtFirstEos(inputIds, states.lastHiddenState, eosTokenId),
      );
      if (clipSkip === 1) return { ...states, pooled };
      const { penultimateHiddenState } = states;
      const lastHiddenState = await skippedHiddenState(
        runner,
        { config, table, name },
        { inputIds, penultimateHiddenState, clipSkip },
      );
      return { lastHiddenState, penultimateHiddenState, pooled };
    },
  };
}

async function hiddenStates(
  runner: GraphRunner,
  graph: string,
  { maxLength, hiddenSize, vocabSize }: TextDescription,
  inputIds: Tensor<"int64">,
): Promise<Omit<TextEncoding, "pooled">> {
  const batch = inputIds.shape[0] ?? 0;
  checkTensor("input_ids", inputIds, "int64", [batch, maxLength]);
  const bad = inputIds.data.find((id) => id < 0n || id >= BigInt(vocabSize));
  if (bad !== undefined) {
    throw new ShapeError(`input_ids must lie in 0..${vocabSize - 1}: current value is ${bad}`);
  }
  const type = { dtype: "float32", shape: [batch, maxLength, hiddenSize] } as const;
  const { outputs } = await runner.run(graph, { input_ids: inputIds }, {
    last_hidden_state: type,
    penultimate_hidden_state: type,
  });
  return {
    lastHiddenState: outputs.last_hidden_state as F32Tensor,
    penultimateHiddenState: outputs.penultimate_hidden_state as F32Tensor,
  };
}

/** The hidden state of each row's first end token; f32 `[B, D]`. */
function poolAtFirstEos(
  inputIds: Tensor<"int64">,
  hidden: F32Tensor,
  eosTokenId: number,
): F32Tensor {
  const [batch = 0, length = 0, width = 0] = hidden.shape;
  const pooled = f32([batch, width]);
  for (let row = 0; row < batch; row++) {
    const ids = inputIds.data.subarray(row * length, (row + 1) * length);
    const position = ids.indexOf(BigInt(eosTokenId));
    if (position < 0) {
      throw new ShapeError(
        `input_ids must hold the end token ${eosTokenId} in every row: row ${row} does not`,
      );
    }
    const start = (row * length + position) * width;
    pooled.data.set(hidden.data.subarray(start, start + width), row * width);
  }
  return pooled;
}
