import assert from "node:assert/strict";
import {
  addNoise,
  alphasCumprod,
  velocity,
} from "../../../../coordinator/sampling/samplers/noise_schedule.ts";
import type { Sampler } from "../../../../coordinator/sampling/samplers/sampler.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { assertClose } from "../../../support/goldens.ts";
import { ddim } from "../small_run.ts";

Deno.test("alphasCumprod() has the published ends", () => {
  const alphas = alphasCumprod(DEFAULT_SCHEDULER_CONFIG);
  assert.equal(alphas.length, 1000);
  assert.ok(Math.abs(alphas[0]! - 0.99915) < 1e-9);
  assert.ok(Math.abs(alphas[999]! - 0.0046601) < 1e-6);
  assert.ok(alphas.every((alpha, t) => t === 0 || alpha < alphas[t - 1]!));
});

/** A step of a model that predicts this, in latents; what the sampler remembers is dropped. */
function stepped(sampler: Sampler, output: F32Tensor, index: number, latents: F32Tensor) {
  const prediction = { guided: output, conditional: output };
  const { state, denoised } = sampler.step(prediction, index, { latents, memory: {} }, []);
  return { latents: state.latents, denoised };
}

Deno.test("a step changes nothing it was given, so it can be repeated", () => {
  const sampler = ddim(10);
  const [noise, latents] = [f32([3], [0.1, -0.2, 0.3]), f32([3], [1, 2, -3])];
  const first = stepped(sampler, noise, 4, latents);
  assert.deepEqual([...noise.data], [...f32([3], [0.1, -0.2, 0.3]).data]);
  assert.deepEqual([...latents.data], [1, 2, -3]);
  stepped(sampler, noise, 2, latents);
  assert.deepEqual(stepped(sampler, noise, 4, latents), first);
});

/** Noise and clean latents that a perfect model would see through. */
const CLEAN = f32([4], [0.5, -1, 2, 0.25]);
const NOISE = f32([4], [1, 0.5, -0.5, -2]);

for (const predictionType of ["epsilon", "v_prediction"] as const) {
  Deno.test(`DDIM with a perfect ${predictionType} model walks straight to the clean latents`, () => {
    const alphas = alphasCumprod(DEFAULT_SCHEDULER_CONFIG);
    const sampler = ddim(20, { predictionType });
    let latents = sampler.addNoise(CLEAN, NOISE, 0);
    sampler.evaluations.forEach(({ timestep }, index) => {
      const v = velocity(CLEAN, NOISE, alphas[timestep]!);
      const step = stepped(sampler, predictionType === "epsilon" ? NOISE : v, index, latents);
      assertClose(`denoised at ${timestep}`, step.denoised, CLEAN, 1e-5);
      latents = step.latents;
    });
    // The last step ends at the alphaBar of timestep 0, with a little noise left.
    assertClose("the end", latents, addNoise(CLEAN, NOISE, alphas[0]!), 1e-5);
  });
}

Deno.test("DDIM with set_alpha_to_one ends at the clean latents themselves", () => {
  const sampler = ddim(10, { setAlphaToOne: true });
  const latents = sampler.addNoise(CLEAN, NOISE, 9);
  assertClose("the end", stepped(sampler, NOISE, 9, latents).latents, CLEAN, 1e-6);
});
