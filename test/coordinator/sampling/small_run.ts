/** Runs of two steps of 8 x 8 latents under the mean; a test changes what it is about. @module */

import { UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import { aggregationPlan } from "../../../coordinator/sampling/aggregation_plan.ts";
import { sample, type SampleRequest } from "../../../coordinator/sampling/sample.ts";
import { DdimScheduler } from "../../../coordinator/sampling/samplers/ddim.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../coordinator/sampling/samplers/scheduler_config.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";

export type Prompts = Pick<SampleRequest, "promptIds" | "negativePromptIds">;

export function smallRequest(
  experts: readonly Expert[],
  prompts: Prompts,
  changes: Partial<SampleRequest> = {},
): SampleRequest {
  return {
    experts,
    aggregator: new UniformAggregator(),
    plan: aggregationPlan(experts[0]!.description.blocks),
    scheduler: new DdimScheduler(2, DEFAULT_SCHEDULER_CONFIG),
    guidanceScale: 5,
    initialLatents: randomTensor([prompts.promptIds.length, 4, 8, 8], 1),
    ...prompts,
    ...changes,
  };
}

/** The last step's latents. */
export async function run(request: SampleRequest): Promise<F32Tensor> {
  let latents: F32Tensor | undefined;
  for await (const step of sample(request)) latents = step.latents;
  return latents!;
}
