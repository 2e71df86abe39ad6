/** A whole run: text encoders, guidance, scheduler, AFA, VAE. @module */

import { readSchedulerConfig } from "../../sampling/samplers/scheduler_config.ts";
import { FormatError } from "../../../shared/errors.ts";
import { sliceRows } from "../../../shared/tensor/tensor.ts";
import { sample } from "../../sampling/sample.ts";
import { createSampler } from "../../sampling/samplers/samplers.ts";
import { featureMethod } from "../../sampling/methods/feature_method.ts";
import { compare, compareNumbers, type Comparison } from "../check.ts";
import type { FamilyContext } from "../context.ts";
import type { CheckSpec } from "../manifest.ts";
import { openSabw } from "./ensemble.ts";
import { openFamilyVae } from "./vae.ts";

export async function checkSample(context: FamilyContext, spec: CheckSpec): Promise<Comparison[]> {
  const { manifest } = context;
  const { num_inference_steps: steps, guidance_scale: guidanceScale } = spec;
  if (
    steps === undefined || guidanceScale === undefined || !manifest.scheduler ||
    !manifest.uncond_input_ids
  ) {
    throw new FormatError(
      `Check "sample" of "${context.folder}" must give num_inference_steps, guidance_scale, and the manifest scheduler and uncond_input_ids`,
    );
  }
  if (spec.scheduler !== "DDIM" || (spec.eta ?? 0) !== 0) {
    throw new FormatError(
      `Check "sample" must use the scheduler DDIM with eta 0: current values are "${spec.scheduler}" and ${spec.eta}`,
    );
  }
  const golden = await context.golden(spec);
  const [initialLatents, ids, expected] = await Promise.all([
    golden.f32("init"),
    golden.i64("input_ids"),
    golden.f32("latents"),
  ]);
  const batch = initialLatents.shape[0]!;
  const experts = await context.experts();
  const sampler = createSampler("ddim", {
    steps,
    config: await readSchedulerConfig(context.path(manifest.scheduler)),
  });
  const timesteps = compareNumbers(
    "timesteps",
    sampler.evaluations.map(({ timestep }) => timestep),
    await golden.numbers("timesteps"),
  );
  const comparisons: Comparison[] = [timesteps];

  const aggregator = await openSabw(context);
  try {
    let latents = initialLatents;
    const run = sample({
      experts,
      method: featureMethod({
        name: "afa",
        aggregator,
        experts: experts.length,
        blocks: experts[0]!.description.blocks,
      }),
      sampler,
      guidanceScale,
      initialLatents,
      promptIds: Array.from(
        { length: batch },
        (_, row) => Array.from(sliceRows(ids, row, row + 1).data, Number),
      ),
      negativePromptIds: new Array(batch).fill(manifest.uncond_input_ids),
    });
    for await (const step of run) {
      latents = step.latents;
      const after = sliceRows(expected, step.stepIndex + 1, step.stepIndex + 2);
      const [, ...shape] = after.shape;
      comparisons.push(compare(`latents[${step.stepIndex + 1}]`, latents, { ...after, shape }));
    }
    await using vae = await openFamilyVae(context);
    comparisons.push(compare("image", await vae.decode(latents), await golden.f32("image")));
  } finally {
    await aggregator.close();
  }
  return comparisons;
}
