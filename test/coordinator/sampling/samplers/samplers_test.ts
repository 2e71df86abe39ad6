import assert from "node:assert/strict";
import {
  createSampler,
  findSampler,
  SAMPLERS,
} from "../../../../coordinator/sampling/samplers/samplers.ts";
import {
  endsStep,
  initialState,
  stepCount,
} from "../../../../coordinator/sampling/samplers/sampler.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { lincomb } from "../../../../shared/tensor/lincomb.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { assertClose } from "../../../support/goldens.ts";

const config = DEFAULT_SCHEDULER_CONFIG;
const SHAPE = [1, 4, 4, 4];

for (const { name } of SAMPLERS) {
  Deno.test(`${name}: as many steps as asked for, levels that fall, and steps that change nothing they are given`, () => {
    const sampler = createSampler(name, { steps: 6, config });
    assert.equal(stepCount(sampler), 6);
    assert.equal(sampler.evaluations.filter((_, i) => endsStep(sampler, i)).length, 6);
    const firsts = sampler.evaluations.filter(({ stepIndex }, i) =>
      sampler.evaluations[i - 1]?.stepIndex !== stepIndex
    );
    assert.ok(firsts.every(({ sigma }, i) => i === 0 || sigma < firsts[i - 1]!.sigma));
    let state = initialState(sampler, randomTensor(SHAPE, 1));
    for (const [index, { noiseCount }] of sampler.evaluations.entries()) {
      const guided = randomTensor(SHAPE, 2 + index);
      const noise = Array.from(
        { length: noiseCount },
        (_, i) => randomTensor(SHAPE, 50 + index + i),
      );
      const before = structuredClone(state);
      const step = sampler.step({ guided, conditional: guided }, index, state, noise);
      assert.deepEqual(state, before);
      const again = sampler.step({ guided, conditional: guided }, index, state, noise);
      assert.ok(bitEqual(again.state.latents.data, step.state.latents.data));
      assert.ok(step.state.latents.data.every(Number.isFinite));
      state = step.state;
    }
  });

  Deno.test(`${name}: addNoise() puts clean latents where a run would be, at every evaluation`, () => {
    const sampler = createSampler(name, { steps: 6, config });
    const [clean, noise] = [randomTensor(SHAPE, 1), randomTensor(SHAPE, 2)];
    for (const [index, { sigma }] of sampler.evaluations.entries()) {
      const input = sampler.scaleModelInput(sampler.addNoise(clean, noise, index), index, []);
      // What the U-Net is given has the variance that it was trained on, whatever the sampler's own scale.
      const size = Math.hypot(sigma, 1);
      const expected = lincomb([[1 / size, clean], [sigma / size, noise]]);
      assertClose(`evaluation ${index}`, input, expected, 1e-5);
    }
  });
}

Deno.test("eta 0 takes the noise out of ancestral steps: Euler a is Euler then", () => {
  const [ancestral, euler] = [
    createSampler("euler_a", { steps: 5, config, eta: 0 }),
    createSampler("euler", { steps: 5, config }),
  ];
  const guided = randomTensor(SHAPE, 3);
  const state = { latents: randomTensor(SHAPE, 4), memory: {} };
  const step = (sampler: typeof euler) =>
    sampler.step({ guided, conditional: guided }, 2, state, [
      f32(SHAPE, new Float32Array(64).fill(9)),
    ]);
  assertClose("step", step(ancestral).state.latents, step(euler).state.latents, 1e-6);
});

Deno.test("samplers are found by the names that other tools give them; others get the nearest", () => {
  const names = [
    ["Euler a", "euler_a"],
    ["k_euler_ancestral", "euler_a"],
    ["EulerDiscreteScheduler", "euler"],
    ["PLMS", "pndm"],
    ["DDIM", "ddim"],
    ["heun", "heun"],
  ] as const;
  for (const [text, name] of names) assert.equal(findSampler(text).name, name);
  assert.throws(() => findSampler("eular"), {
    name: "UsageError",
    message: /must be one of ddim, .*current value is "eular".*euler/,
  });
  const all = SAMPLERS.flatMap(({ name, aliases }) => [name, ...aliases]);
  assert.equal(new Set(all).size, all.length);
});

Deno.test("what a sampler does not take is refused", () => {
  assert.throws(() => createSampler("euler", { steps: 5, config, eta: 1 }), {
    message: "eta is for samplers with a share of new noise: euler has none",
  });
  assert.throws(() => createSampler("ddim", { steps: 5, config, schedule: "karras" }), {
    message: /"karras" is for samplers on noise levels: ddim visits timesteps/,
  });
});
