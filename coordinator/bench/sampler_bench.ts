/**
 * How near a sampler comes, in few steps, to where the probability-flow ODE leads from the same noise (Song et al. 2021, "Score-Based
 * Generative Modeling through Stochastic Differential Equations", Eq. 13). Samplers that draw noise have no such end.
 *
 * @module
 */

import { throwIfAborted } from "../../shared/errors.ts";
import { concatRows, type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { psnr } from "../image/psnr.ts";
import { newJob } from "../jobs/job_spec.ts";
import { type PreparedJob, prepareJob } from "../jobs/prepare_job.ts";
import { sample } from "../sampling/sample.ts";
import { createSampler, SAMPLERS } from "../sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../sampling/samplers/scheduler_config.ts";
import type { TensorCache } from "../training/dataset/tensor_cache.ts";
import type { BenchFigure, Conditions } from "./bench_result.ts";
import { spread } from "./statistics.ts";

/** What is drawn. */
export interface Subject {
  readonly prompt: string;
  readonly seed: bigint;
}

/** How it is drawn. */
export interface SamplerRun {
  /** As `findSampler()` takes it. */
  readonly sampler: string;
  readonly steps: number;
}

export interface SamplerBenchOptions {
  readonly subjects: readonly Subject[];
  readonly guidance: number;
  readonly runs: readonly SamplerRun[];
  /** What all runs are compared with. */
  readonly reference: SamplerRun;
  /** Keeps the final latents of what has been drawn; a benchmark that was interrupted goes on with them. */
  readonly cache?: TensorCache;
  readonly signal?: AbortSignal;
  /** Told after each evaluation of the model, and of as many at once as the cache spared. */
  readonly onEvaluations?: (count: number, run: SamplerRun) => void;
}

export interface SamplerRow extends SamplerRun {
  /** Of the decoded pictures to those of the reference, dB, one per subject. */
  readonly psnr: readonly number[];
}

/** Pictures that are drawn at once. */
const BATCH = 25;

/** Names of the samplers that end in one place, however the noise on the way is drawn: they draw none. */
export function deterministicSamplers(): string[] {
  const options = { steps: 10, config: DEFAULT_SCHEDULER_CONFIG };
  return SAMPLERS.map(({ name }) => name).filter((name) =>
    createSampler(name, options).evaluations.every(({ noiseCount }) => noiseCount === 0)
  );
}

/** Evaluations of the model that a run of one batch takes. */
export function evaluationCount({ sampler, steps }: SamplerRun): number {
  return createSampler(sampler, { steps, config: DEFAULT_SCHEDULER_CONFIG }).evaluations.length;
}

/** How many batches so many pictures are drawn in. */
export function batchCount(pictures: number): number {
  return Math.ceil(pictures / BATCH);
}

/** @throws {TuttiError} what sampling throws */
export async function* benchSamplers(
  ensemble: Ensemble,
  options: SamplerBenchOptions,
): AsyncGenerator<SamplerRow, void, void> {
  const exact = await drawPictures(ensemble, options.reference, options);
  for (const run of options.runs) {
    throwIfAborted(options.signal);
    const pictures = await drawPictures(ensemble, run, options);
    const rows = exact.map((picture, i) => psnr(pictures[i]!, picture));
    yield { ...run, psnr: rows };
  }
}

/**
 * `samplers.euler.25`: the mean over the pictures, and how they spread; missing if one is the reference's to the bit.
 * `samplers.euler.evaluations`, a step.
 */
export function samplerFigures(
  rows: readonly SamplerRow[],
  conditions: Conditions,
): BenchFigure[] {
  const finite = rows.filter(({ psnr }) => psnr.every(Number.isFinite));
  const evaluations = new Map(
    rows.map((row) => [row.sampler, Math.round(evaluationCount(row) / row.steps)]),
  );
  return [
    ...finite.map(({ sampler, steps, psnr }): BenchFigure => ({
      ...{ name: `samplers.${sampler}.${steps}`, unit: "dB", conditions },
      value: psnr.reduce((sum, each) => sum + each, 0) / psnr.length,
      spread: spread(psnr),
    })),
    ...[...evaluations].map(([sampler, value]): BenchFigure => ({
      ...{ name: `samplers.${sampler}.evaluations`, value, unit: "count", conditions },
    })),
  ];
}

/** Each f32 `[1, 3, H, W]`. */
async function drawPictures(
  ensemble: Ensemble,
  run: SamplerRun,
  options: SamplerBenchOptions,
): Promise<F32Tensor[]> {
  const { subjects } = options;
  const pictures: F32Tensor[] = [];
  for (let begin = 0; begin < subjects.length; begin += BATCH) {
    const batch = subjects.slice(begin, begin + BATCH);
    const latents = await drawLatents(ensemble, run, { ...options, subjects: batch });
    const images = await ensemble.vae.decode(latents);
    pictures.push(...batch.map((_, i) => sliceRows(images, i, i + 1)));
  }
  return pictures;
}

/** Of one batch after the last step, f32 `[B, 4, h, w]`. */
async function drawLatents(
  ensemble: Ensemble,
  run: SamplerRun,
  { subjects, guidance, cache, signal, onEvaluations }: SamplerBenchOptions,
): Promise<F32Tensor> {
  const jobs = subjects.map(({ prompt, seed }) => {
    const settings = { sampler: run.sampler, steps: run.steps, guidance, waves: 1 };
    const spec = newJob({ prompt, seeds: [seed], ensemble: ensemble.name }, settings);
    return prepareJob(ensemble, spec, { warn: () => {} });
  });
  let told = 0;
  const tell = (evaluations: number) => {
    onEvaluations?.(evaluations - told, run);
    told = evaluations;
  };
  const compute = async () => {
    const request = joinedRequest(jobs);
    const perStep = request.sampler.evaluations.length / run.steps;
    let latents = request.initialLatents;
    for await (const step of sample({ ...request, ...(signal && { signal }) })) {
      throwIfAborted(signal);
      latents = step.latents;
      tell(Math.round((step.stepIndex + 1) * perStep));
    }
    return { latents };
  };
  const key = [run.sampler, run.steps, guidance, JSON.stringify(jobs.map((job) => job.conditions))];
  const { latents } = cache ? await cache.get(key, ["latents"], compute) : await compute();
  tell(evaluationCount(run));
  return latents!;
}

/** Several jobs of one picture as one run. */
function joinedRequest(jobs: readonly PreparedJob[]): PreparedJob["request"] {
  const requests = jobs.map(({ request }) => request);
  return {
    ...requests[0]!,
    initialLatents: concatRows(requests.map((request) => request.initialLatents)),
    promptIds: requests.flatMap((request) => request.promptIds),
    negativePromptIds: requests.flatMap((request) => request.negativePromptIds),
  };
}
