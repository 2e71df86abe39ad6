/**
 * From an ensemble, data and a user's settings to a run that is ready to start: data prepared, SABW made or read, held-out draws
 * fixed.
 *
 * @module
 */

import { isDifferentiable } from "../../shared/engine/backward.ts";
import { firstText } from "../../shared/engine/choose_text.ts";
import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { FormatError, UsageError } from "../../shared/errors.ts";
import { encodePrompt } from "../../shared/tokenizer/prompt.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { type AggregatedBlocks, aggregationPlan } from "../sampling/aggregation_plan.ts";
import { alphasCumprod } from "../sampling/schedulers/noise_schedule.ts";
import type { AdamwOptions } from "./adamw.ts";
import { areSamplesUsable, type Example, prepareExamples } from "./dataset/examples.ts";
import { readRecords, type SkippedFile } from "./dataset/records.ts";
import { TensorCache } from "./dataset/tensor_cache.ts";
import { TextCache } from "./dataset/text_cache.ts";
import { heldOutRows } from "./held_out.ts";
import { initialSabw, type SabwSize } from "./initial_sabw.ts";
import { NoisyRows } from "./noisy_rows.ts";
import { findCheckpoint, hasRun, type TrainingRun } from "./run_training.ts";
import { seededOrder } from "./seeded_draws.ts";
import { TrainableSabw } from "./trainable_sabw.ts";

/** What a user decides. */
export interface TrainingSettings extends
  Pick<
    TrainingRun,
    | "out"
    | "steps"
    | "batch"
    | "microBatch"
    | "dropText"
    | "seed"
    | "evaluateEvery"
    | "patience"
    | "checkpointEvery"
    | "keep"
  > {
  /** A file of JSON lines, or a folder. */
  readonly data: string;
  readonly adamw: AdamwOptions;
  readonly aggregatedBlocks: AggregatedBlocks;
  readonly sabwSize: SabwSize;
  /**
   * What is taken of the VAE's distributions: samples, as the paper does, or means. @default samples, unless they are
   * mostly noise
   */
  readonly latents?: "sample" | "mean";
  /** Height and width in pixels. @default what the experts were trained at */
  readonly size?: number;
  /** Images that are not trained on. @default a tenth, at most `MOST_HELD_OUT` */
  readonly holdOut?: number;
  /** Draws of timestep and noise per held-out image. */
  readonly drawsPerImage: number;
  /** Folder of what was computed of images and texts. */
  readonly cache: string;
  readonly isResumed: boolean;
}

export interface PrepareTrainingOptions {
  /** Of SABW. */
  readonly compute: ComputeOptions;
  /** Told how many images of how many are prepared. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface PreparedTraining extends AsyncDisposable {
  readonly run: TrainingRun;
  readonly skipped: readonly SkippedFile[];
  readonly cutTexts: number;
}

/** Twice as many as a paired comparison of small differences needs. */
const MOST_HELD_OUT = 64;

/** @throws {TuttiError} of whatever is wrong first */
export async function prepareTraining(
  ensemble: Ensemble,
  settings: TrainingSettings,
  { compute, onProgress, signal }: PrepareTrainingOptions,
): Promise<PreparedTraining> {
  const { seed, out, aggregatedBlocks, sabwSize, isResumed, ...rest } = settings;
  const { experts, vae, tokenizers: [tokenizer, secondTokenizer] } = ensemble;
  const odd = experts.findIndex((expert) => !isDifferentiable(expert));
  if (odd >= 0) {
    throw new UsageError(
      `Expert ${
        ensemble.members[odd]!.where
      } serves no gradients: --local opens experts in this process`,
    );
  }
  if (!isResumed && await hasRun(out)) {
    throw new UsageError(`"${out}" has a run already: --resume goes on, another --out begins anew`);
  }
  const { description } = experts[0]!;
  const plan = aggregationPlan(description.blocks, aggregatedBlocks);
  const size = settings.size ?? description.sampleSize * vae.factor;
  if (size % vae.factor !== 0) {
    throw new UsageError(`--size must be a multiple of ${vae.factor}: current value is ${size}`);
  }

  const { records, skipped } = await readRecords(settings.data);
  const cache = new TensorCache(settings.cache);
  const { maxLength } = firstText(description);
  const prepared = await prepareExamples(records, {
    ...{ vae, vaeHash: ensemble.vaeHash, tokenizer, maxLength, size, seed, cache },
    ...(onProgress && { onProgress: (done: number) => onProgress(done, records.length) }),
    ...(signal && { signal }),
  });
  const latents = settings.latents ??
    (await areSamplesUsable(prepared.examples) ? "sample" : "mean");
  const { examples, heldOut } = split(prepared.examples, seed, settings.holdOut);
  const rows = new NoisyRows({
    texts: new TextCache(experts, {
      cache,
      ...(secondTokenizer && { secondPadId: secondTokenizer.padTokenId }),
    }),
    emptyIds: encodePrompt(tokenizer, "", maxLength).inputIds,
    alphasCumprod: alphasCumprod(ensemble.schedulerConfig),
    predictionType: description.predictionType,
    scalingFactor: vae.config.scalingFactor,
    samplesLatents: latents === "sample",
    latentShape: [description.latentChannels, size / vae.factor, size / vae.factor],
    size,
  });

  const trainedExperts = ensemble.members.map(({ name, expert }) => ({
    name,
    modelHash: expert.description.modelHash,
  }));
  const recipe = {
    seed: String(seed),
    ...{ data: prepared.hash, experts: trainedExperts.map(({ modelHash }) => modelHash) },
    ...{ vae: ensemble.vaeHash, latents, size, batch: rest.batch, drop_text: rest.dropText },
    ...{ optimizer: "AdamW", ...rest.adamw, held_out: heldOut.length, aggregatedBlocks },
    ...sabwSize,
  };
  const shared = { ...description, numExperts: experts.length };
  const resumed = isResumed ? await findCheckpoint(out, recipe) : undefined;
  const sabw = resumed
    ? await TrainableSabw.open(resumed.path, shared, compute)
    : new TrainableSabw("new", initialSabw(shared, sabwSize, seed), compute);
  return {
    run: {
      ...rest,
      ...{ seed, out, rows, examples, sabw },
      ensemble: { experts: experts.filter(isDifferentiable), aggregator: sabw, plan },
      metadata: { experts: trainedExperts, aggregatedBlocks, recipe },
      heldOut: heldOutRows(rows, heldOut, seed, settings.drawsPerImage),
      ...(resumed && { resumed }),
      ...(signal && { signal }),
    },
    skipped: [...skipped, ...prepared.skipped],
    cutTexts: prepared.cutTexts,
    [Symbol.asyncDispose]: () => sabw.close(),
  };
}

function split(
  all: readonly Example[],
  seed: bigint,
  holdOut = Math.min(MOST_HELD_OUT, Math.floor(all.length / 10)),
): { readonly examples: readonly Example[]; readonly heldOut: readonly Example[] } {
  if (holdOut >= all.length) {
    throw new FormatError(
      `Training data must have more images than --hold-out ${holdOut} takes: current count is ${all.length}`,
    );
  }
  const order = seededOrder(seed, ["hold out"], all.length).map((i) => all[i]!);
  return { heldOut: order.slice(0, holdOut), examples: order.slice(holdOut) };
}
