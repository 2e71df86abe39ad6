/** From a stateless request to the inputs of a block's graph: everything is checked before it runs. @module */

import { ShapeError } from "../errors.ts";
import { sizeAtScale } from "../models/blocks.ts";
import type { UNetBlock } from "../models/unet/block_table.ts";
import { checkTensor } from "../tensor/check.ts";
import { i64, type Shape, type Tensor } from "../tensor/tensor.ts";
import type { StatelessForward } from "./block_expert.ts";
import type { ExpertDescription } from "./expert.ts";

export interface BlockInputs {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputShape: Shape;
}

/** @throws {ShapeError} naming the first input that is missing or of the wrong shape */
export function blockInputs(
  block: UNetBlock,
  { timeEmbedDim, crossAttentionDim }: Pick<
    ExpertDescription,
    "timeEmbedDim" | "crossAttentionDim"
  >,
  request: StatelessForward,
): BlockInputs {
  const { hiddenStates, temb, encoderHiddenStates, residual, targetSize } = request;
  const [batch = 0, , height = 0, width = 0] = hiddenStates.shape;
  checkTensor("hidden_states", hiddenStates, "float32", [batch, block.inChannels, height, width]);
  if (batch * height * width === 0) {
    throw new ShapeError(
      `hidden_states must not be empty: current shape is [${hiddenStates.shape}]`,
    );
  }
  const inputs: Record<string, Tensor> = { hidden_states: hiddenStates };
  if (block.resnets.length > 0) {
    checkTensor("temb", temb, "float32", [batch, timeEmbedDim]);
    inputs.temb = temb;
  }
  if (block.attention) {
    const tokens = Math.max(1, encoderHiddenStates.shape[1] ?? 0);
    checkTensor("encoder_hidden_states", encoderHiddenStates, "float32", [
      batch,
      tokens,
      crossAttentionDim,
    ]);
    inputs.encoder_hidden_states = encoderHiddenStates;
  }
  if (block.skipFrom) {
    if (!residual) {
      throw new ShapeError(
        `residual must be given for ${block.id}: it is the skip of ${block.skipFrom}`,
      );
    }
    checkTensor("residual", residual, "float32", [batch, block.skipChannels, height, width]);
    inputs.residual = residual;
  }
  const channels = block.outChannels;
  if (block.upsamples) {
    const [targetHeight, targetWidth] = targetSize ?? [2 * height, 2 * width];
    checkTarget("height", targetHeight, height);
    checkTarget("width", targetWidth, width);
    inputs.target_size = i64([2], [targetHeight, targetWidth]);
    return { inputs, outputShape: [batch, channels, targetHeight, targetWidth] };
  }
  const scale = block.outScale - block.inScale;
  const outputShape = [batch, channels, sizeAtScale(height, scale), sizeAtScale(width, scale)];
  return { inputs, outputShape };
}

/** An up-sampling goes to the size of a skip: twice the input's, or one pixel less where that was odd. */
function checkTarget(axis: string, target: number, size: number): void {
  if (target === 2 * size || target === 2 * size - 1) return;
  throw new ShapeError(
    `target ${axis} must be ${2 * size - 1} or ${
      2 * size
    } for an input of ${size}: current value is ${target}`,
  );
}
