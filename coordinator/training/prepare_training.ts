/**
 * From an ensemble, data and a user's settings to a run that is ready to start: data prepared, SABW made or read, held-out draws
 * fixed.
 *
 * @module
 */

import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { FormatError } from "../../shared/errors.ts";
import {
  dtypesOnTheWay,
  formatWireDtypes,
  type TransportOptions,
} from "../cluster/tensor_transport.ts";
import { agreedSchedule } from "../ensemble/agreed_schedule.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { type AggregatedBlocks, aggregationPlan } from "../sampling/aggregation_plan.ts";
import type { AdamwOptions } from "./adamw.ts";
import { PenalizedSabw, type PenaltyWeights } from "./attention_penalty.ts";
import type { Example } from "./dataset/examples.ts";
import type { SkippedFile } from "./dataset/records.ts";
import { heldOutRows } from "./held_out.ts";
import { initialSabw, type SabwSize } from "./initial_sabw.ts";
import { cooldownSpan } from "./learning_rate.ts";
import { type DataSettings, prepareData } from "./prepare_data.ts";
import { checkRunFolder, findCheckpoint } from "./run_folder.ts";
import type { TrainingRun } from "./run_training.ts";
import { seededOrder } from "./seeded_draws.ts";
import { TrainableSabw } from "./trainable_sabw.ts";

/** What a user decides. */
export interface TrainingSettings extends
  Omit<DataSettings, "most">,
  Pick<
    TrainingRun,
    | "out"
    | "steps"
    | "batch"
    | "microBatch"
    | "cooldown"
    | "dropText"
    | "evaluateEvery"
    | "sabwDType"
    | "patience"
    | "checkpointEvery"
    | "keep"
  > {
  readonly adamw: AdamwOptions;
  readonly aggregatedBlocks: AggregatedBlocks;
  readonly sabwSize: SabwSize;
  readonly penalties: PenaltyWeights;
  /** Images that are not trained on. @default a tenth, at most `MOST_HELD_OUT` */
  readonly holdOut?: number;
  /** Draws of timestep and noise per held-out image. */
  readonly drawsPerImage: number;
  readonly isResumed: boolean;
  /** As the ensemble was opened with. */
  readonly transport?: TransportOptions;
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
  const { seed, out, aggregatedBlocks, sabwSize, isResumed, transport, ...rest } = settings;
  const { experts } = ensemble;
  await checkRunFolder(out, isResumed);
  const { description } = experts[0]!;
  const plan = aggregationPlan(description.blocks, aggregatedBlocks);
  const data = await prepareData(ensemble, {
    ...settings,
    ...(onProgress && { onProgress }),
    ...(signal && { signal }),
  });
  const { examples, heldOut } = split(data.examples, seed, settings.holdOut);

  const trainedExperts = await Promise.all(ensemble.members.map(async ({ name, expert }) => {
    const hashes = await expert.weightsHashes?.(signal);
    return {
      ...{ name, modelHash: expert.description.modelHash },
      ...(hashes && { weightsHash: hashes.weightsHash }),
    };
  }));
  const recipe = {
    seed: String(seed),
    ...{ data: data.hash, experts: trainedExperts.map(({ modelHash }) => modelHash) },
    ...{
      vae: ensemble.vaeHash,
      latents: data.latents,
      size: data.size,
      batch: rest.batch,
      drop_text: rest.dropText,
    },
    ...{ optimizer: "AdamW", ...rest.adamw, held_out: heldOut.length, aggregatedBlocks },
    // Losses that are compared are of the same draws.
    ...(heldOut.length > 0 && { draws_per_image: settings.drawsPerImage }),
    ...noiseRecipe(ensemble),
    // The mean weights that are balanced are those of what goes through the experts together.
    ...(settings.penalties.balance > 0 && { micro_batch: rest.microBatch }),
    ...sabwSize,
    ...settings.penalties,
    ...roundingOnTheWay(ensemble, transport),
    cooldown: cooldownSpan({ steps: rest.steps, cooldown: rest.cooldown ?? 0 }),
  };
  const shared = { ...description, numExperts: experts.length };
  const resumed = isResumed ? await findCheckpoint(out, recipe) : undefined;
  const sabw = resumed
    ? await TrainableSabw.open(resumed.path, shared, compute)
    : new TrainableSabw("new", initialSabw(shared, sabwSize, seed), compute);
  const isPenalized = Object.values(settings.penalties).some((weight) => weight > 0);
  return {
    run: {
      ...rest,
      ...{ seed, out, rows: data.rows, examples, sabw },
      ensemble: {
        experts,
        aggregator: isPenalized ? new PenalizedSabw(sabw, settings.penalties, plan.length) : sabw,
        plan,
      },
      metadata: { experts: trainedExperts, aggregatedBlocks, recipe },
      heldOut: heldOutRows(data.rows, heldOut, seed, settings.drawsPerImage),
      ...(resumed && { resumed }),
      ...(signal && { signal }),
    },
    skipped: data.skipped,
    cutTexts: data.cutTexts,
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

/** What noise is added, and to what: it stands in configurations, which no hash of weights covers. */
function noiseRecipe(ensemble: Ensemble) {
  const { config } = agreedSchedule(ensemble);
  const { numTrainTimesteps, betaStart, betaEnd, betaSchedule, rescaleBetasZeroSnr } = config;
  const betas = config.trainedBetas ?? [numTrainTimesteps, betaStart, betaEnd, betaSchedule];
  return {
    scaling_factor: ensemble.vae.config.scalingFactor,
    noise_schedule: rescaleBetasZeroSnr ? [...betas, "zero terminal SNR"] : betas,
  };
}

const EXACT = "f32; gradients f32";

/** What decides bits between here and the experts; nothing where all of it is exact. */
function roundingOnTheWay({ members }: Ensemble, transport: TransportOptions = {}) {
  const wire = members.map(({ address, isElsewhere }) => {
    if (address === undefined) return EXACT;
    const { wireDtypes, gradientDtype } = dtypesOnTheWay(transport, isElsewhere);
    return `${formatWireDtypes(wireDtypes)}; gradients ${gradientDtype}`;
  });
  return wire.every((dtypes) => dtypes === EXACT) ? {} : { wire };
}
