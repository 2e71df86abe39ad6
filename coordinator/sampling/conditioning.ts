/**
 * What the prompt becomes: every expert's own text states, and the means over the experts that SABW looks at
 * (SPEC 1.2, "Conditioning"). Both depend on prompt and timestep only, so they are made once per image.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { mean } from "../../shared/tensor/lincomb.ts";
import { concatRows, type F32Tensor, i64, sliceRows } from "../../shared/tensor/tensor.ts";
import type { AggregationConditioning } from "./aggregation.ts";

/** Token ids of one row, padded to the text encoder's length. */
export type InputIds = readonly number[];

export interface Conditioning {
  /** Per expert, f32 `[B, L, D]`, one row per input row. */
  readonly encoderHiddenStates: readonly F32Tensor[];
  /** Means over the experts for step `stepIndex`. */
  at(stepIndex: number): AggregationConditioning;
}

/**
 * @param rows one list of ids per row of the batch; equal neighbours are encoded once
 * @param timesteps of all steps
 */
export async function encodeConditioning(
  experts: readonly Expert[],
  rows: readonly InputIds[],
  timesteps: readonly number[],
  signal?: AbortSignal,
): Promise<Conditioning> {
  const [encodings, tembs] = await Promise.all([
    Promise.all(experts.map((expert) => encodeRows(expert, rows, signal))),
    Promise.all(experts.map((expert) => expert.embedTimesteps(timesteps, signal))),
  ]);
  const encoderHiddenStates = mean(encodings);
  const temb = mean(tembs);
  return {
    encoderHiddenStates: encodings,
    at: (stepIndex) => {
      const row = sliceRows(temb, stepIndex, stepIndex + 1);
      return { temb: concatRows(rows.map(() => row)), encoderHiddenStates };
    },
  };
}

/** One expert's text states for all rows, f32 `[B, L, D]`; each different row is encoded once. */
async function encodeRows(
  expert: Expert,
  rows: readonly InputIds[],
  signal?: AbortSignal,
): Promise<F32Tensor> {
  const distinct = [...new Map(rows.map((ids) => [ids.join(), ids])).values()];
  const inputIds = i64([distinct.length, distinct[0]!.length], distinct.flat());
  const { lastHiddenState } = await expert.encodeText(inputIds, {}, signal);
  const indexOf = new Map(distinct.map((ids, index) => [ids.join(), index]));
  return concatRows(rows.map((ids) => {
    const index = indexOf.get(ids.join())!;
    return sliceRows(lastHiddenState, index, index + 1);
  }));
}
