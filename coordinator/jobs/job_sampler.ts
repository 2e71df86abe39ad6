/** From what a job says and what its models were trained with to a sampler. @module */

import { createHash } from "node:crypto";
import { type AgreedSchedule, agreedSchedule } from "../ensemble/agreed_schedule.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import type { EnsemblingMethod } from "../sampling/methods/method.ts";
import type { Sampler } from "../sampling/samplers/sampler.ts";
import {
  createSampler,
  DEFAULT_SAMPLER,
  findSampler,
  spacedConfig,
} from "../sampling/samplers/samplers.ts";
import type { SpacedConfig } from "../sampling/samplers/scheduler_config.ts";
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
  return {
    agreed,
    scheduler: conditionOf(config),
    sampler: createSampler(sampler, {
      steps,
      config,
      ...(schedule !== undefined && { schedule }),
      ...(eta !== undefined && { eta }),
    }),
  };
}

/** As text; of listed betas their hash. */
function conditionOf({ trainedBetas, ...config }: SpacedConfig): string {
  if (!trainedBetas) return JSON.stringify(config);
  const hash = createHash("sha256").update(Float64Array.from(trainedBetas)).digest("hex");
  return JSON.stringify({ ...config, trainedBetas: hash });
}
