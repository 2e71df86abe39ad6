import assert from "node:assert/strict";
import { DdimScheduler } from "../../../../coordinator/sampling/samplers/ddim.ts";
import { alphasCumprod } from "../../../../coordinator/sampling/samplers/noise_schedule.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  parseSchedulerConfig,
} from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { lincomb } from "../../../../shared/tensor/lincomb.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { assertClose, goldenPath } from "../../../support/goldens.ts";

interface Run {
  readonly scheduler: string;
  readonly steps: number;
  readonly config: unknown;
  readonly noise: readonly number[];
  readonly timesteps: readonly number[];
  readonly x_after_each_step: readonly (readonly number[])[];
}

const { runs } = JSON.parse(await Deno.readTextFile(goldenPath("schedulers.json"))) as {
  readonly runs: readonly Run[];
};

/** The noise model of the reference trajectories. */
function predictNoise(x: F32Tensor, timestep: number): F32Tensor {
  return f32(x.shape, x.data.map((value) => 0.3 * value + 0.2 * Math.sin(timestep / 100)));
}

for (const run of runs.filter(({ scheduler }) => scheduler === "ddim")) {
  Deno.test(`DDIM, ${run.steps} steps: timesteps and every x agree with the reference trajectory`, () => {
    const config = parseSchedulerConfig(new ConfigFields(run.config, "schedulers.json"));
    const scheduler = new DdimScheduler(run.steps, config);
    assert.deepEqual(scheduler.timesteps, run.timesteps);
    assert.equal(scheduler.initNoiseSigma, 1);
    let latents = f32([4], run.noise);
    run.x_after_each_step.forEach((expected, stepIndex) => {
      const input = scheduler.scaleModelInput(latents);
      const noise = predictNoise(input, scheduler.timesteps[stepIndex]!);
      latents = scheduler.step(noise, stepIndex, latents).latents;
      assertClose(`x after step ${stepIndex}`, latents, f32([4], expected), 1e-5);
    });
  });
}

Deno.test("there are reference trajectories of DDIM with 10, 20 and 50 steps", () => {
  const steps = runs.filter(({ scheduler }) => scheduler === "ddim").map((run) => run.steps);
  assert.deepEqual(steps, [10, 20, 50]);
});

Deno.test("alphasCumprod() has the published ends", () => {
  const alphas = alphasCumprod(DEFAULT_SCHEDULER_CONFIG);
  assert.equal(alphas.length, 1000);
  assert.ok(Math.abs(alphas[0]! - 0.99915) < 1e-9);
  assert.ok(Math.abs(alphas[999]! - 0.0046601) < 1e-6);
  assert.ok(alphas.every((alpha, t) => t === 0 || alpha < alphas[t - 1]!));
});

Deno.test("a step changes nothing it was given, so it can be repeated", () => {
  const scheduler = new DdimScheduler(10, DEFAULT_SCHEDULER_CONFIG);
  const [noise, latents] = [f32([3], [0.1, -0.2, 0.3]), f32([3], [1, 2, -3])];
  const first = scheduler.step(noise, 4, latents);
  assert.deepEqual([[...noise.data], [...latents.data]], [[...f32([3], [0.1, -0.2, 0.3]).data], [
    1,
    2,
    -3,
  ]]);
  scheduler.step(noise, 2, latents);
  assert.deepEqual(scheduler.step(noise, 4, latents), first);
});

/** Noise and clean latents that a perfect model would see through. */
const CLEAN = f32([4], [0.5, -1, 2, 0.25]);
const NOISE = f32([4], [1, 0.5, -0.5, -2]);

for (const predictionType of ["epsilon", "v_prediction"] as const) {
  Deno.test(`DDIM with a perfect ${predictionType} model walks straight to the clean latents`, () => {
    const config = { ...DEFAULT_SCHEDULER_CONFIG, predictionType };
    const alphas = alphasCumprod(config);
    const scheduler = new DdimScheduler(20, config);
    const at = (alpha: number) =>
      lincomb([[Math.sqrt(alpha), CLEAN], [Math.sqrt(1 - alpha), NOISE]]);
    let latents = at(alphas[scheduler.timesteps[0]!]!);
    scheduler.timesteps.forEach((timestep, stepIndex) => {
      const alpha = alphas[timestep]!;
      const velocity = lincomb([[Math.sqrt(alpha), NOISE], [-Math.sqrt(1 - alpha), CLEAN]]);
      const output = predictionType === "epsilon" ? NOISE : velocity;
      const step = scheduler.step(output, stepIndex, latents);
      assertClose(`denoised at ${timestep}`, step.denoised, CLEAN, 1e-5);
      latents = step.latents;
    });
    // The last step ends at the alphaBar of timestep 0, with a little noise left.
    assertClose("the end", latents, at(alphas[0]!), 1e-5);
  });
}

Deno.test("DDIM with set_alpha_to_one ends at the clean latents themselves", () => {
  const config = { ...DEFAULT_SCHEDULER_CONFIG, setAlphaToOne: true };
  const scheduler = new DdimScheduler(10, config);
  const alpha = alphasCumprod(config)[1]!;
  const latents = lincomb([[Math.sqrt(alpha), CLEAN], [Math.sqrt(1 - alpha), NOISE]]);
  assertClose("the end", scheduler.step(NOISE, 9, latents).latents, CLEAN, 1e-6);
});
