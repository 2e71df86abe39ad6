/**
 * A session made of calls without one. Training rows differ in their timestep, so each has its own time embedding, which
 * a session of the worker cannot have; the skips stay here instead.
 *
 * @module
 */

import type {
  Expert,
  ExpertSession,
  ForwardRange,
  ForwardResult,
} from "../../shared/engine/expert.ts";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { type BlockId, sizeAtScale } from "../../shared/models/blocks.ts";
import { copyTensor, type F32Tensor } from "../../shared/tensor/tensor.ts";

export interface StatelessSessionOptions {
  readonly expert: Expert;
  /** One row per row of the batch, f32 `[B, Dt]`. */
  readonly temb: F32Tensor;
  /** f32 `[B, L, D]` */
  readonly encoderHiddenStates: F32Tensor;
  /** Of the latents. */
  readonly height: number;
  readonly width: number;
}

export class StatelessSession implements ExpertSession {
  readonly #options: StatelessSessionOptions;
  readonly #skips = new Map<BlockId, F32Tensor>();
  readonly #skipSources: ReadonlySet<BlockId>;

  constructor(options: StatelessSessionOptions) {
    this.#options = options;
    this.#skipSources = new Set(
      options.expert.description.blocks.flatMap(({ skipFrom }) => skipFrom ?? []),
    );
  }

  inputBuffer(): undefined {
    return undefined;
  }

  async forward(
    { first, last, hiddenStates }: ForwardRange,
    signal?: AbortSignal,
  ): Promise<ForwardResult> {
    const { expert, temb, encoderHiddenStates, height, width } = this.#options;
    const { blocks } = expert.description;
    const [start, end] = [this.#indexOf(first), this.#indexOf(last)];
    const before = blocks[start - 1]?.id;
    if (before !== undefined && this.#skipSources.has(before)) {
      this.#skips.set(before, copyTensor(hiddenStates));
    }
    let result: ForwardResult = { hiddenStates, computeMs: 0, queueMs: 0 };
    for (const { id, skipFrom, upsamples, outScale } of blocks.slice(start, end + 1)) {
      throwIfAborted(signal);
      const residual = skipFrom === undefined ? undefined : this.#skips.get(skipFrom);
      const answer = await expert.forwardBlock({
        ...{ block: id, hiddenStates: result.hiddenStates, temb, encoderHiddenStates },
        ...(residual && { residual }),
        ...(upsamples && {
          targetSize: [sizeAtScale(height, outScale), sizeAtScale(width, outScale)] as const,
        }),
      }, signal);
      result = {
        ...answer,
        computeMs: result.computeMs + answer.computeMs,
        queueMs: result.queueMs + answer.queueMs,
      };
      if (id !== last && this.#skipSources.has(id)) this.#skips.set(id, answer.hiddenStates);
    }
    return result;
  }

  close(): Promise<void> {
    this.#skips.clear();
    return Promise.resolve();
  }

  #indexOf(id: BlockId): number {
    const index = this.#options.expert.description.blocks.findIndex((block) => block.id === id);
    if (index >= 0) return index;
    throw new TuttiError("NOT_FOUND", `Expert has no block "${id}"`, { details: { block: id } });
  }
}
