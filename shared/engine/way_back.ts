/**
 * The way back through the step that a session ran last: block by block from the inputs that it kept. The gradient of a skip
 * that never left the session waits in the arena until the walk comes to the block that made it.
 *
 * @module
 */

import { throwIfAborted } from "../errors.ts";
import { alignedTensor } from "../lane/aligned_memory.ts";
import type { BlockId, BlockSpec } from "../models/blocks.ts";
import { checkTensor } from "../tensor/check.ts";
import { lincomb } from "../tensor/lincomb.ts";
import type { F32Tensor } from "../tensor/tensor.ts";
import type { BackwardResult } from "./block_expert.ts";
import { BackwardOrder } from "./backward_order.ts";
import type { SessionBackward, SessionGradients } from "./expert.ts";
import type { SessionArena } from "./session_arena.ts";

export interface WayBackOptions {
  readonly blocks: readonly BlockSpec[];
  /** Of a session that keeps inputs. */
  readonly arena: SessionArena;
  /** Gradients of the block of this index, at what it got in the step. */
  readonly differentiate: (
    index: number,
    gradOutput: F32Tensor,
    signal?: AbortSignal,
  ) => Promise<BackwardResult>;
}

export class WayBack {
  readonly order: BackwardOrder;
  readonly #options: WayBackOptions;
  /** Blocks whose skip's gradient is in the arena and belongs to an output that the walk has yet to reach. */
  #waiting: ReadonlySet<BlockId> = new Set();

  constructor(options: WayBackOptions) {
    this.#options = options;
    this.order = new BackwardOrder(options.blocks);
  }

  /** Where the gradient that a range takes is wanted. @throws {TuttiError} if the range may not come now */
  gradientBuffer(range: Omit<SessionBackward, "gradOutput">): F32Tensor {
    return this.#options.arena.gradient(this.order.locate(range).last + 1);
  }

  /** A range that fails may be asked for again: it has overwritten nothing that it needs. */
  async run(range: SessionBackward, signal?: AbortSignal): Promise<SessionGradients> {
    const { blocks, arena, differentiate } = this.#options;
    const { first, last } = this.order.locate(range);
    let gradient = range.gradOutput;
    checkTensor("grad_output", gradient, "float32", arena.gradient(last + 1).shape);
    // Whoever begins at the last block begins anew: what waits is overwritten.
    this.order.goes(last);
    const waiting = new Set(last === blocks.length - 1 ? [] : this.#waiting);
    const gradResiduals = new Map<BlockId, F32Tensor>();
    let computeMs = 0, queueMs = 0;
    for (let index = last; index >= first; index--) {
      throwIfAborted(signal);
      const { id, skipFrom } = blocks[index]!;
      if (waiting.delete(id)) {
        // The caller's tensor stays as it is: it may be given again.
        const into = index === last ? alignedTensor("float32", gradient.shape) : gradient;
        gradient = lincomb([[1, gradient], [1, arena.skipGradient(id)]], into);
      }
      const result = await differentiate(index, gradient, signal);
      if (skipFrom !== undefined && result.gradResidual) {
        const kept = arena.skipGradient(skipFrom);
        kept.data.set(result.gradResidual.data);
        if (this.order.hasLeft(skipFrom)) gradResiduals.set(skipFrom, kept);
        else waiting.add(skipFrom);
      }
      gradient = result.gradHiddenStates;
      computeMs += result.computeMs;
      queueMs += result.queueMs;
    }
    const gradHiddenStates = arena.gradient(first);
    gradHiddenStates.data.set(gradient.data);
    this.#waiting = waiting;
    this.order.went(first);
    return { gradHiddenStates, gradResiduals, computeMs, queueMs };
  }
}
