/**
 * Calls of single blocks, without a session: everything that a block needs comes with the call. An expert's sessions are built
 * on them, and a worker answers them for clients that keep no session.
 *
 * @module
 */

import type { BlockId } from "../models/blocks.ts";
import type { F32Tensor } from "../tensor/tensor.ts";
import type { Expert, ForwardResult } from "./expert.ts";

/** An expert whose blocks can be called one at a time. */
export interface BlockExpert extends Expert {
  /**
   * @throws {TuttiError} NOT_FOUND if there is no such block, INVALID_ARGUMENT on wrong shapes, DATA_LOSS if the output is
   * not finite
   */
  forwardBlock(request: StatelessForward, signal?: AbortSignal): Promise<ForwardResult>;
  /** @throws {TuttiError} as `forwardBlock()` */
  backwardBlock(request: StatelessBackward, signal?: AbortSignal): Promise<BackwardResult>;
  /** Brings the weights of all blocks into memory, in the order in which they run: a session is about to run them. */
  loadAhead?(): void;
  /** Where loading stands; undefined while nothing is loaded. */
  readonly loading?: LoadProgress | undefined;
}

/** How far the blocks' weights are in memory. */
export interface LoadProgress {
  /** That are there. */
  readonly blocks: number;
  readonly allBlocks: number;
  /** Of the weights that are there, as they are computed with. */
  readonly bytes: number;
}

export interface StatelessForward {
  readonly block: BlockId;
  /** f32 `[B, C, h, w]` */
  readonly hiddenStates: F32Tensor;
  /** f32 `[B, Dt]` */
  readonly temb: F32Tensor;
  /** f32 `[B, L, D]` */
  readonly encoderHiddenStates: F32Tensor;
  /** OUT blocks: the skip, f32 `[B, C', h, w]`. */
  readonly residual?: F32Tensor;
  /** Blocks that up-sample: height and width to reach. Twice the input's without it. */
  readonly targetSize?: readonly [number, number];
  /** As in `SessionConfig`. @default one job for all calls that name none */
  readonly job?: string;
  /** Where the result is to be written; at an address that 64 divides. @default new memory */
  readonly output?: F32Tensor;
}

/** A block's inputs (it is computed again from them) and the gradient of its output, f32 in the output's shape. */
export interface StatelessBackward extends StatelessForward {
  readonly gradOutput: F32Tensor;
}

export interface BackwardResult {
  /** f32 `[B, C, h, w]` */
  readonly gradHiddenStates: F32Tensor;
  /** OUT blocks: of the skip, f32 `[B, C', h, w]`. */
  readonly gradResidual?: F32Tensor;
  /** Milliseconds in the graph, and waiting for a lane. */
  readonly computeMs: number;
  readonly queueMs: number;
}
