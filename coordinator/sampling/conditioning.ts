/**
 * What the prompt becomes: every expert's own text states, and the means over the experts that SABW looks at
 * (`docs/spec.md`, "Conditioning"). Both depend on prompt and timestep only, so they are made once per image.
 *
 * @module
 */

import type { AddedCond, Expert } from "../../shared/engine/expert.ts";
import { ShapeError } from "../../shared/errors.ts";
import { f32, type F32Tensor, repeatRows, sliceRows } from "../../shared/tensor/tensor.ts";
import { Patience } from "../cluster/admission_retry.ts";
import { type MeanConditioning, meanConditioning } from "./aggregation.ts";
import { encodePrompts, type PromptEmbeds, type PromptEmbedsOptions } from "./prompt_embeds.ts";
import { sideBySide } from "./side_by_side.ts";
import type { PromptRow } from "./text_states.ts";

export interface ConditioningOptions extends Partial<PromptEmbedsOptions> {
  /** Of the images in pixels; SDXL is conditioned on it. */
  readonly imageSize?: { readonly height: number; readonly width: number };
  /** How long to wait where a worker takes no more calls. @default not at all */
  readonly patience?: Patience;
}

/** What an expert's session is opened with. */
export interface ExpertConditioning {
  /** f32 `[B, L, D]`; L counts the tokens of all chunks of a row. */
  readonly encoderHiddenStates: F32Tensor;
  readonly addedCond?: AddedCond;
}

export interface Conditioning {
  /** Per expert, one row per input row. */
  readonly experts: readonly ExpertConditioning[];
  /** Means over the experts for step `stepIndex`; not needed where nothing is aggregated. */
  at?(stepIndex: number): MeanConditioning;
}

/**
 * @param rows one prompt per row of the batch, all of equally many chunks
 * @param timesteps of all steps
 */
export async function encodeConditioning(
  experts: readonly Expert[],
  rows: readonly PromptRow[],
  timesteps: readonly number[],
  { clipSkip = 1, imageSize, patience = new Patience({ waitMs: 0 }), ...options }:
    ConditioningOptions = {},
): Promise<Conditioning> {
  const ask = async (expert: Expert, signal: AbortSignal) => {
    const embeds = await encodePrompts(expert, rows, { clipSkip, ...options, signal });
    const addedCond = addedCondOf(embeds, rows.length, imageSize);
    const temb = await expert.embedTimesteps(timesteps, signal, addedCond);
    return { encoderHiddenStates: embeds.promptEmbeds, temb, ...(addedCond && { addedCond }) };
  };
  const conditionings = await sideBySide(
    experts,
    (expert, either) => patience.untilAdmitted(() => ask(expert, either)),
    options.signal,
  );
  return conditioningOf(conditionings, rows.length, timesteps.length);
}

/**
 * What experts are conditioned on, from their own text states and time embeddings.
 *
 * @param experts with time embeddings f32 `[T, Dt]`, or `[T B, Dt]` where rows differ
 * @param rows B
 * @param timesteps T
 */
export function conditioningOf(
  experts: readonly (ExpertConditioning & MeanConditioning)[],
  rows: number,
  timesteps: number,
): Conditioning {
  let means: MeanConditioning | undefined;
  return {
    experts,
    at(stepIndex) {
      const { temb, encoderHiddenStates } = means ??= meanConditioning(experts);
      if (temb.shape[0] === timesteps) {
        const row = sliceRows(temb, stepIndex, stepIndex + 1);
        return { temb: repeatRows(row, rows), encoderHiddenStates };
      }
      const first = stepIndex * rows;
      return { temb: sliceRows(temb, first, first + rows), encoderHiddenStates };
    },
  };
}

/** SDXL's sizes: the whole image, not cropped, at the size it is drawn. */
export function addedCondOf(
  { pooledPromptEmbeds }: PromptEmbeds,
  batch: number,
  imageSize: ConditioningOptions["imageSize"],
): AddedCond | undefined {
  if (!pooledPromptEmbeds) return undefined;
  if (!imageSize) throw new ShapeError("An SDXL ensemble needs the image's size");
  const { height, width } = imageSize;
  const timeIds = f32(
    [batch, 6],
    new Array(batch).fill([height, width, 0, 0, height, width]).flat(),
  );
  return { pooledPromptEmbeds, timeIds };
}
