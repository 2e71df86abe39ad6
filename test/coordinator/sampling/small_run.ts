/** Runs of two steps of 8 x 8 latents under the mean; a test changes what it is about. @module */

import { type Aggregator, UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import type { AggregatedBlocks } from "../../../coordinator/sampling/aggregation_plan.ts";
import { featureMethod } from "../../../coordinator/sampling/methods/feature_method.ts";
import type { PictureSize } from "../../../coordinator/sampling/methods/definition.ts";
import type { EnsemblingMethod } from "../../../coordinator/sampling/methods/method.ts";
import { sample, type SampleRequest } from "../../../coordinator/sampling/sample.ts";
import type { Sampler } from "../../../coordinator/sampling/samplers/sampler.ts";
import { createSampler } from "../../../coordinator/sampling/samplers/samplers.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  type SchedulerConfig,
} from "../../../coordinator/sampling/samplers/scheduler_config.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";

/** As methods are told of it. */
export const SMALL_PICTURE: PictureSize = {
  width: 64,
  height: 64,
  latentWidth: 8,
  latentHeight: 8,
};

export type Prompts = Pick<SampleRequest, "promptIds" | "negativePromptIds">;

export function smallRequest(
  experts: readonly Expert[],
  prompts: Prompts,
  changes: Partial<SampleRequest> = {},
): SampleRequest {
  return {
    experts,
    method: methodOf(experts),
    sampler: ddim(2),
    guidanceScale: 5,
    initialLatents: randomTensor([prompts.promptIds.length, 4, 8, 8], 1),
    ...prompts,
    ...changes,
  };
}

/** An aggregator after every block, or after some. @param aggregator @default the mean */
export function methodOf(
  experts: readonly Expert[],
  aggregator: Aggregator = new UniformAggregator(),
  aggregated: AggregatedBlocks = "all",
): EnsemblingMethod {
  const { blocks } = experts[0]!.description;
  return featureMethod({
    name: aggregator.name,
    aggregator,
    aggregated,
    experts: experts.length,
    blocks,
  });
}

export function ddim(steps: number, changes: Partial<SchedulerConfig> = {}): Sampler {
  const config = { ...DEFAULT_SCHEDULER_CONFIG, ...changes };
  return createSampler("ddim", { steps, config });
}

/** The last step's latents. */
export async function run(request: SampleRequest): Promise<F32Tensor> {
  let latents: F32Tensor | undefined;
  for await (const step of sample(request)) latents = step.latents;
  return latents!;
}
