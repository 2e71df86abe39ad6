/** What holds of every ensembling method, whichever are in the table. @module */

import assert from "node:assert/strict";
import { UniformAggregator } from "../../../../coordinator/sampling/aggregation.ts";
import { createMethod, METHODS } from "../../../../coordinator/sampling/methods/methods.ts";
import type {
  MethodDefinition,
  TrainedSabw,
} from "../../../../coordinator/sampling/methods/definition.ts";
import { ONLY } from "../../../../coordinator/sampling/methods/single_expert.ts";
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
import { openGoldenEnsemble } from "../golden_ensemble.ts";
import { run, SMALL_PICTURE, smallRequest } from "../small_run.ts";

const NAMES = ["photo", "anime"];
const goldenIds = (
  ...words: number[]
) => [298, ...words, ...new Array(15 - words.length).fill(299)];
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

function methodOf(
  definition: MethodDefinition,
  experts: readonly Expert[],
  guidance = 5,
  sabw: TrainedSabw = SABW,
) {
  const { name, example } = definition;
  const options = example?.(NAMES);
  return createMethod(options === undefined ? name : `${name}:${options}`, {
    experts: NAMES.slice(0, experts.length),
    blocks: experts[0]!.description.blocks,
    sabw,
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
    const method = methodOf(ONLY, [model]);
    const alone = await run({ ...requestOf(definition, [model, model]), experts: [model], method });
    assertClose(name, await run(requestOf(definition, [model, model])), alone, 1e-6);
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

Deno.test("every method: networks with the same weights draw what one draws alone, trained aggregators too", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a } = ensemble;
  const sabw = { ...SABW, aggregator: await ensemble.openSabw() };
  const prompts = { promptIds: [goldenIds(5, 17, 3)], negativePromptIds: [goldenIds()] };
  // Guidance multiplies what rounding the weights of SABW does.
  for (const definition of METHODS) {
    const guidanceScale = definition.needsGuidance ? 5 : 1;
    const changes = {
      guidanceScale,
      sampler: createSampler(samplerOf(definition), { steps: 4, config: DEFAULT_SCHEDULER_CONFIG }),
    };
    const play = (played: MethodDefinition, experts: readonly Expert[]) =>
      run(smallRequest(experts, prompts, {
        ...changes,
        method: methodOf(played, experts, guidanceScale, sabw),
        noise: new ImageNoise([7n], [4, 8, 8]),
      }));
    const alone = await play(ONLY, [a]);
    assertClose(definition.name, await play(definition, [a, a]), alone, 1e-6);
  }
});
