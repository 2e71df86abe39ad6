/**
 * The blocks of one expert, differentiated by stateless calls: what a block got as input is on the tape where features were
 * aggregated before it, and computed again where they were not.
 *
 * @module
 */

import type { BlockExpert, StatelessForward } from "../../shared/engine/block_expert.ts";
import { throwIfAborted } from "../../shared/errors.ts";
import {
  type BlockId,
  blockIndex,
  type BlockSpec,
  requireBlockIndex,
  sizeAtScale,
} from "../../shared/models/blocks.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import {
  type BackwardRange,
  type ExpertBackward,
  Gradients,
  type RangeGradients,
  type TapeEntry,
} from "../../coordinator/training/ensemble_backward.ts";

export interface TapedExpertOptions {
  readonly expert: BlockExpert;
  /** f32 `[B, Dt]` */
  readonly temb: F32Tensor;
  /** f32 `[B, L, D]` */
  readonly encoderHiddenStates: F32Tensor;
  readonly tape: readonly TapeEntry[];
}

export class TapedExpert implements ExpertBackward {
  readonly #options: TapedExpertOptions;
  readonly #blocks: readonly BlockSpec[];
  /** By index of the block: its input, once somebody asked. */
  readonly #inputs = new Map<number, Promise<F32Tensor>>();
  /** Blocks whose output was aggregated: the gradients of those skips are all experts' together. */
  readonly #aggregated: ReadonlySet<BlockId>;
  /** Gradients of the other skips, until the walk comes to the block that made them. */
  readonly #ownSkips = new Gradients();

  constructor(options: TapedExpertOptions) {
    this.#options = options;
    this.#blocks = options.expert.description.blocks;
    this.#aggregated = new Set(options.tape.map(({ last }) => last));
  }

  /** @throws {TuttiError} NOT_FOUND if the expert has no such block */
  async backward(range: BackwardRange, signal?: AbortSignal): Promise<RangeGradients> {
    const [first, last] = [
      requireBlockIndex(this.#blocks, "first", range.first),
      requireBlockIndex(this.#blocks, "last", range.last),
    ];
    const gradResiduals = new Map<BlockId, F32Tensor>();
    let gradOutput = range.gradOutput;
    for (let index = last; index >= first; index--) {
      throwIfAborted(signal);
      const block = this.#blocks[index]!;
      const request = await this.#request(index);
      const result = await this.#options.expert.backwardBlock({ ...request, gradOutput }, signal);
      const { skipFrom } = block;
      if (skipFrom !== undefined && result.gradResidual) {
        if (this.#aggregated.has(skipFrom)) gradResiduals.set(skipFrom, result.gradResidual);
        else this.#ownSkips.add(skipFrom, result.gradResidual);
      }
      gradOutput = index === first
        ? result.gradHiddenStates
        : this.#ownSkips.takeWith(this.#blocks[index - 1]!.id, result.gradHiddenStates);
    }
    return { gradHiddenStates: gradOutput, gradResiduals };
  }

  /** The block's call in the forward pass. */
  async #request(index: number): Promise<StatelessForward> {
    const { temb, encoderHiddenStates, tape } = this.#options;
    const block = this.#blocks[index]!;
    const [, , height, width] = tape[0]!.hiddenStates.shape as [number, number, number, number];
    const targetSize = [
      sizeAtScale(height, block.outScale),
      sizeAtScale(width, block.outScale),
    ] as const;
    return {
      block: block.id,
      hiddenStates: await this.#input(index),
      temb,
      encoderHiddenStates,
      // The input of a block is the (aggregated) output of the one before.
      ...(block.skipFrom &&
        { residual: await this.#input(blockIndex(this.#blocks, block.skipFrom) + 1) }),
      ...(block.upsamples && { targetSize }),
    };
  }

  #input(index: number): Promise<F32Tensor> {
    let input = this.#inputs.get(index);
    if (!input) this.#inputs.set(index, input = this.#computeInput(index));
    return input;
  }

  async #computeInput(index: number): Promise<F32Tensor> {
    const id = this.#blocks[index]!.id;
    const entry = this.#options.tape.find(({ first }) => first === id);
    if (entry) return entry.hiddenStates;
    const result = await this.#options.expert.forwardBlock(await this.#request(index - 1));
    return result.hiddenStates;
  }
}
