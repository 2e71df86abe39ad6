/** From what a job says and what its models were trained with to a sampler. @module */

import { createHash } from "node:crypto";
import { UsageError } from "../../shared/errors.ts";
import { type AgreedSchedule, agreedSchedule } from "../ensemble/agreed_schedule.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import type { EnsemblingMethod } from "../sampling/methods/method.ts";
import type { Churn } from "../sampling/samplers/churn.ts";
import type { Sampler } from "../sampling/samplers/sampler.ts";
import {
  createSampler,
  DEFAULT_SAMPLER,
  findSampler,
  spacedConfig,
} from "../sampling/samplers/samplers.ts";
import type { SpacedConfig } from "../sampling/samplers/scheduler_config.ts";
import { flagOf } from "../settings/setting.ts";
import type { JobSpec } from "./job_spec.ts";

export interface JobSampler {
  readonly sampler: Sampler;
  /** What the run's bits follow from besides the job, for its conditions. */
  readonly scheduler: string;
  readonly agreed: AgreedSchedule;
}

/**
 * @throws {UsageError} if the job asks for what the sampler does not take
 * @throws {TuttiError} FAILED_PRECONDITION if experts that the method asks disagree
 */
export function jobSampler(
  ensemble: Ensemble,
  { asked }: EnsemblingMethod,
  spec: JobSpec,
): JobSampler {
  const { sampler = DEFAULT_SAMPLER, steps, schedule, eta } = spec;
  const agreed = agreedSchedule(ensemble, asked);
  const config = spacedConfig(findSampler(sampler), agreed.config);
  const churn = churnOf(spec);
  return {
    agreed,
    scheduler: conditionOf(config),
    sampler: createSampler(sampler, {
      steps,
      config,
      ...(schedule !== undefined && { schedule }),
      ...(eta !== undefined && { eta }),
      ...(churn && { churn }),
    }),
  };
}

/** As text; of listed betas their hash. */
function conditionOf({ trainedBetas, ...config }: SpacedConfig): string {
  if (!trainedBetas) return JSON.stringify(config);
  const hash = createHash("sha256").update(Float64Array.from(trainedBetas)).digest("hex");
  return JSON.stringify({ ...config, trainedBetas: hash });
}

/** @throws {UsageError} if what only churn knows is said without it, or its levels are the wrong way round */
function churnOf({ churn = 0, sTmin, sTmax, sNoise }: JobSpec): Churn | undefined {
  const others = Object.entries({ sTmin, sTmax, sNoise });
  const lone = others.find(([, value]) => value !== undefined);
  if (churn === 0) {
    if (!lone) return undefined;
    throw new UsageError(`${flagOf(lone[0])} is for samplers with --churn: current churn is 0`);
  }
  if (sTmin !== undefined && sTmax !== undefined && sTmin > sTmax) {
    throw new UsageError(`--s-tmin must be at most --s-tmax, ${sTmax}: current value is ${sTmin}`);
  }
  return {
    amount: churn,
    ...(sTmin !== undefined && { sigmaMin: sTmin }),
    ...(sTmax !== undefined && { sigmaMax: sTmax }),
    ...(sNoise !== undefined && { noiseScale: sNoise }),
  };
}
