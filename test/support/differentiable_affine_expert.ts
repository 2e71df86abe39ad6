/**
 * The affine expert with its exact derivatives: for tests of what carries gradients, without graphs that take seconds to
 * load.
 *
 * @module
 */

import type {
  BackwardResult,
  DifferentiableExpert,
  StatelessBackward,
} from "../../shared/engine/backward.ts";
import { blockInputs } from "../../shared/engine/block_inputs.ts";
import { TuttiError } from "../../shared/errors.ts";
import { checkFinite, checkTensor } from "../../shared/tensor/check.ts";
import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import {
  AFFINE_BLOCKS,
  AffineExpert,
  type AffineExpertOptions,
  SKIP_WEIGHT,
} from "./affine_expert.ts";

export class DifferentiableAffineExpert extends AffineExpert implements DifferentiableExpert {
  /** Blocks differentiated so far, in order. */
  readonly differentiated: string[] = [];

  constructor(options: Omit<AffineExpertOptions, "gains"> = {}) {
    super(options);
  }

  // Async, so that a refusal is a rejection.
  // deno-lint-ignore require-await
  async backwardBlock(request: StatelessBackward): Promise<BackwardResult> {
    const block = AFFINE_BLOCKS.find(({ id }) => id === request.block);
    if (!block) throw new TuttiError("NOT_FOUND", `There is no block "${request.block}"`);
    const { outputShape } = blockInputs(block, this.description, request);
    const { gradOutput, hiddenStates, residual } = request;
    checkTensor("grad_output", gradOutput, "float32", outputShape);
    const gradHiddenStates = gradientOfMeans(gradOutput, hiddenStates, 1);
    checkFinite(`grad_hidden_states of ${this.description.name} ${block.id}`, gradHiddenStates);
    this.differentiated.push(block.id);
    return {
      gradHiddenStates,
      ...(block.skipFrom && residual && {
        gradResidual: gradientOfMeans(gradOutput, residual, SKIP_WEIGHT),
      }),
      computeMs: 2.5,
      queueMs: 0.5,
    };
  }
}

/** Each pixel of the output takes the mean over channels of the nearest pixel of the input, times `weight`. */
function gradientOfMeans(
  { shape, data }: F32Tensor,
  input: F32Tensor,
  weight: number,
): F32Tensor {
  const [, channels = 0, height = 0, width = 0] = shape;
  const [rows = 0, inChannels = 0, inHeight = 0, inWidth = 0] = input.shape;
  const pixels = inHeight * inWidth;
  const sums = new Float64Array(rows * pixels);
  for (let i = 0; i < data.length; i++) {
    const row = Math.floor(i / (channels * height * width));
    const y = Math.floor((Math.floor(i / width) % height) * inHeight / height);
    const x = Math.floor((i % width) * inWidth / width);
    sums[row * pixels + y * inWidth + x]! += data[i]!;
  }
  const gradient = f32(input.shape);
  for (let i = 0; i < gradient.data.length; i++) {
    const row = Math.floor(i / (inChannels * pixels));
    gradient.data[i] = weight / inChannels * sums[row * pixels + i % pixels]!;
  }
  return gradient;
}
