/** What the way back needs of a forward pass, written down while it runs. @module */

import { copyTensor, type F32Tensor } from "../../shared/tensor/tensor.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";
import type { TapeEntry } from "./ensemble_backward.ts";

/** Of one pass that aggregates after every segment and is not split into waves. */
export class ForwardTape {
  readonly #entries: TapeEntry[] = [];
  #hiddenStates: F32Tensor;

  /** @param latents what the pass begins with, f32 `[B, 4, H, W]` */
  constructor(latents: F32Tensor) {
    this.#hiddenStates = latents;
  }

  /** In the order in which the segments ran. */
  get entries(): readonly TapeEntry[] {
    return this.#entries;
  }

  /** For `onSegment`. */
  readonly add = ({ first, last, features, aggregatedFeatures }: SegmentReport): void => {
    const hiddenStates = this.#hiddenStates;
    // What lies in the sessions' memory is overwritten before the way back.
    this.#entries.push({ first, last, hiddenStates, features: features.map(copyTensor) });
    this.#hiddenStates = copyTensor(aggregatedFeatures!);
  };
}
