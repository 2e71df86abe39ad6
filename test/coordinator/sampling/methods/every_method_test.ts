/** What holds of every ensembling method, whichever are in the table. @module */

import assert from "node:assert/strict";
import { UniformAggregator } from "../../../../coordinator/sampling/aggregation.ts";
import { createMethod, METHODS } from "../../../../coordinator/sampling/methods/methods.ts";
import type { MethodDefinition } from "../../../../coordinator/sampling/methods/definition.ts";
import { ImageNoise } from "../../../../coordinator/sampling/image_noise.ts";
import { sample } from "../../../../coordinator/sampling/sample.ts";
import { createSampler } from "../../../../coordinator/sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import type { Expert } from "../../../../shared/engine/expert.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { mean } from "../../../../shared/tensor/lincomb.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { assertClose } from "../../../support/goldens.ts";
import { run, SMALL_PICTURE, smallRequest } from "../small_run.ts";

const NAMES = ["photo", "anime"];
const IDS = [98, 5, 17, 99, 99, 99, 99], NEGATIVE = [98, 99, 99, 99, 99, 99, 99];

/** Aggregators that were trained to weigh all experts alike. */
const SABW = {
  hash: "",
  aggregatedBlocks: "all",
  aggregator: Object.assign(new UniformAggregator(), {
    aggregate: (_block: string, features: Parameters<typeof mean>[0]) => {
      const [batch, , height, width] = features[0]!.shape as [number, number, number, number];
      const attentionMap = f32([batch, features.length, height, width]);
      attentionMap.data.fill(1 / features.length);
      return Promise.resolve({ aggregatedFeatures: mean(features), attentionMap });
    },
  }),
} as const;

/** One that the method goes along with. */
const samplerOf = ({ needsReverseSde }: MethodDefinition) => needsReverseSde ? "euler_a" : "ddim";

function methodOf(definition: MethodDefinition, experts: readonly Expert[], guidance = 5) {
  const { name, example } = definition;
  const options = example?.(NAMES);
  return createMethod(options === undefined ? name : `${name}:${options}`, {
    experts: NAMES.slice(0, experts.length),
    blocks: experts[0]!.description.blocks,
    sabw: SABW,
    guidanceScale: guidance,
    sampler: { name: samplerOf(definition) },
    picture: SMALL_PICTURE,
  });
}

const requestOf = (definition: MethodDefinition, experts: readonly Expert[], waves = 1) =>
  smallRequest(experts, { promptIds: [IDS], negativePromptIds: [NEGATIVE] }, {
    method: methodOf(definition, experts),
    sampler: createSampler(samplerOf(definition), { steps: 4, config: DEFAULT_SCHEDULER_CONFIG }),
    noise: new ImageNoise([7n], [4, 8, 8]),
    waves,
  });

for (const definition of METHODS) {
  const { name } = definition;
  const two = () => [new AffineExpert(), new AffineExpert({ gains: { IN05: 0.5, OUT03: 1.5 } })];

  Deno.test(`${name}: experts that are the same model draw what it draws alone`, async () => {
    const model = new AffineExpert();
    const only = METHODS.find(({ name }) => name === "only")!;
    const method = methodOf(only, [model]);
    const alone = await run({ ...requestOf(definition, [model, model]), experts: [model], method });
    assertClose(name, await run(requestOf(definition, [model, model])), alone, 1e-5);
  });

  Deno.test(`${name}: halves of guidance that travel apart change nothing`, async () => {
    const whole = await run(requestOf(definition, two()));
    assertClose(name, await run(requestOf(definition, two(), 2)), whole, 1e-6);
  });

  Deno.test(`${name}: a run that goes on after any of its steps gives the same bits`, async () => {
    const steps = await Array.fromAsync(sample(requestOf(definition, two())));
    for (const from of steps) {
      for await (
        const { stepIndex, latents } of sample({ ...requestOf(definition, two()), from })
      ) {
        assert.ok(bitEqual(latents.data, steps[stepIndex]!.latents.data), `${stepIndex}`);
      }
    }
  });

  Deno.test(`${name}: needs guidance, or does without`, () => {
    const build = () => methodOf(definition, two(), 1);
    if (definition.needsGuidance) assert.throws(build, /needs a guidance scale other than 1/);
    else assert.ok(build().plan);
  });
}
