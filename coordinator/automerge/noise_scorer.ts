/**
 * How well a merge predicts the noise in pictures that somebody chose: minus the mean loss of denoisers (`docs/spec.md`,
 * "Training"), at draws of timestep and noise that never change.
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { UniformAggregator } from "../sampling/aggregation.ts";
import { aggregationPlan } from "../sampling/aggregation_plan.ts";
import type { DataRecords, SkippedFile } from "../training/dataset/records.ts";
import { average, evaluate, heldOutRows } from "../training/held_out.ts";
import { prepareData } from "../training/prepare_data.ts";
import type { Scorer } from "./scorer.ts";

export interface NoiseScorerOptions {
  /** Of one expert, the merge. */
  readonly ensemble: Ensemble;
  /** Names the state of its text encoders, which change with one of the weights only. */
  readonly textName: () => string;
  readonly data: DataRecords;
  /** Records that are used, the first ones. */
  readonly most: number;
  readonly drawsPerImage: number;
  readonly seed: bigint;
  /** Pixels of height and width. @default what the models were trained at */
  readonly size?: number;
  /** Rows that go through the expert together. */
  readonly microBatch: number;
  /** Folder of what was computed of images and texts. */
  readonly cache: string;
  readonly signal: AbortSignal;
}

/** @throws {TuttiError} if no picture can be read */
export async function noiseScorer(
  { ensemble, textName, microBatch, drawsPerImage, signal, ...data }: NoiseScorerOptions,
): Promise<Scorer & { readonly skipped: readonly SkippedFile[] }> {
  const [expert] = ensemble.experts as readonly [Expert];
  const asText = { ...ensemble, experts: [textView(expert, textName)] };
  const { rows, examples, hash, latents, size, skipped } = await prepareData(asText, {
    ...data,
    signal,
  });
  const heldOut = heldOutRows(rows, examples, data.seed, drawsPerImage);
  const plan = aggregationPlan(expert.description.blocks, "noise");
  const alone = { experts: [expert], aggregator: new UniformAggregator(), plan };
  return {
    skipped,
    conditions: {
      scorer: "noise loss",
      data: hash,
      vae: ensemble.vaeHash,
      draws: drawsPerImage,
      latents,
      size,
    },
    score: async (_, signal) =>
      -average(await evaluate(alone, rows, heldOut, microBatch, { signal })),
  };
}

/** The expert as caches of texts see it: another one only where its text encoders are. */
function textView(expert: Expert, name: () => string): Expert {
  return {
    get description() {
      return { ...expert.description, modelHash: name() };
    },
    encodeText: (...args) => expert.encodeText(...args),
    embedTimesteps: (...args) => expert.embedTimesteps(...args),
    openSession: (...args) => expert.openSession(...args),
    close: () => expert.close(),
  };
}
