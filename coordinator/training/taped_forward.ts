/** A forward pass that remembers what the way back needs. @module */

import { copyTensor, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { type EnsembleForward, ensembleForward } from "../sampling/ensemble_forward.ts";
import type { TapeEntry } from "./ensemble_backward.ts";

export interface TapedForward {
  /** The aggregated noise prediction, f32 `[B, 4, H, W]`. */
  readonly noise: F32Tensor;
  readonly tape: readonly TapeEntry[];
}

export async function tapedForward(pass: EnsembleForward): Promise<TapedForward> {
  const tape: TapeEntry[] = [];
  let hiddenStates = pass.latentModelInput;
  const noise = await ensembleForward({
    ...pass,
    onSegment: (report) => {
      const { first, last } = report;
      // What lies in the sessions' memory is overwritten before the way back.
      tape.push({ first, last, hiddenStates, features: report.features.map(copyTensor) });
      hiddenStates = copyTensor(report.aggregatedFeatures);
      pass.onSegment?.(report);
    },
  });
  return { noise, tape };
}
