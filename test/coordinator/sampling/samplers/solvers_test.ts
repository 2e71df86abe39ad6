import assert from "node:assert/strict";
import { withChurn } from "../../../../coordinator/sampling/samplers/churn.ts";
import { DDPM } from "../../../../coordinator/sampling/samplers/ddpm.ts";
import { deis } from "../../../../coordinator/sampling/samplers/deis.ts";
import { dpm2 } from "../../../../coordinator/sampling/samplers/dpm2.ts";
import { dpmpp2sAncestral } from "../../../../coordinator/sampling/samplers/dpmpp_2s_ancestral.ts";
import { dpmppMultistep } from "../../../../coordinator/sampling/samplers/dpmpp_multistep.ts";
import { dpmppSde } from "../../../../coordinator/sampling/samplers/dpmpp_sde.ts";
import {
  dpmppSinglestep,
  stepOrders,
} from "../../../../coordinator/sampling/samplers/dpmpp_singlestep.ts";
import { dpmSolverMultistep } from "../../../../coordinator/sampling/samplers/dpm_solver_multistep.ts";
import { dpmSolverSinglestep } from "../../../../coordinator/sampling/samplers/dpm_solver_singlestep.ts";
import { EULER } from "../../../../coordinator/sampling/samplers/euler.ts";
import { eulerAncestral } from "../../../../coordinator/sampling/samplers/euler_ancestral.ts";
import { HEUN } from "../../../../coordinator/sampling/samplers/heun.ts";
import { lms } from "../../../../coordinator/sampling/samplers/lms.ts";
import type { Sampler, SamplerState } from "../../../../coordinator/sampling/samplers/sampler.ts";
import { createSampler, SAMPLERS } from "../../../../coordinator/sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import {
  SigmaSampler,
  type Solver,
} from "../../../../coordinator/sampling/samplers/sigma_sampler.ts";
import { SIGMA_SCHEDULES } from "../../../../coordinator/sampling/samplers/sigma_schedules.ts";
import { takesSchedule } from "../../../../coordinator/sampling/samplers/find_sampler.ts";
import { uniPc } from "../../../../coordinator/sampling/samplers/unipc.ts";
import { idealPrediction, likeInput } from "../../../../coordinator/verify/eval/ideal_network.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { f32, type F32Tensor, makeTensor } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { assertClose } from "../../../support/goldens.ts";

const DATA = { mean: [0.3, -0.8, 1.2], std: [0.25, 0.6, 1] };
const [HIGH, LOW] = [10, 0.05];

function samplerOn(solver: Solver, sigmas: readonly number[]): SigmaSampler {
  const levels = { sigmas, timestepOf: () => 0, initNoiseSigma: 1 };
  return new SigmaSampler({ name: "tested", solver, levels, predictionType: "epsilon" });
}

function evenInLog(steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, i) => HIGH * (LOW / HIGH) ** (i / steps));
}

/** The end of a run on the ideal network; noise is drawn from a seed. */
function sampled(sampler: Sampler, latents: F32Tensor): F32Tensor {
  let state: SamplerState = { latents, memory: {} };
  let seed = 100;
  for (const [index, { sigma, noiseCount }] of sampler.evaluations.entries()) {
    const noise = Array.from({ length: noiseCount }, () => randomTensor(latents.shape, seed++));
    const input = sampler.scaleModelInput(state.latents, index, noise);
    const ideal = idealPrediction(DATA, input.data, 1 / (1 + sigma ** 2));
    const guided = likeInput(input, ideal.map(({ epsilon }) => epsilon));
    ({ state } = sampler.step({ guided, conditional: guided }, index, state, noise));
  }
  return state.latents;
}

const START = [4, -7, 11];
const startTensor = () => f32([1, 3], START);

/** Distance from the exact solution of the probability-flow ODE, in doubles. */
function error(solver: Solver, steps: number): number {
  const doubles = makeTensor("float64", [1, 3], Float64Array.from(START)) as unknown;
  const { data } = sampled(samplerOn(solver, evenInLog(steps)), doubles as F32Tensor);
  const exact = START.map((x, i) => {
    const [mean, variance] = [DATA.mean[i]!, DATA.std[i]! ** 2];
    return mean + (x - mean) * Math.sqrt((variance + LOW ** 2) / (variance + HIGH ** 2));
  });
  return Math.hypot(...exact.map((value, i) => data[i]! - value));
}

const ORDERS: readonly (readonly [string, Solver, number])[] = [
  ["Euler", EULER, 1],
  ["Heun", HEUN, 2],
  ["DPM2", dpm2(), 2],
  ["DPM-Solver-1", dpmSolverSinglestep(1), 1],
  ["DPM-Solver-2", dpmSolverSinglestep(2), 2],
  ["DPM-Solver-3", dpmSolverSinglestep(3), 3],
  ["DPM-Solver 2M", dpmSolverMultistep({ order: 2 }), 2],
  ["DPM++ 2M", dpmppMultistep({ order: 2 }), 2],
  ["DPM++ 2M Heun", dpmppMultistep({ order: 2, solverType: "heun" }), 2],
  ["DPM++ 2S a without noise", dpmpp2sAncestral({ eta: 0 }), 2],
  ["DPM++ SDE without noise", dpmppSde({ eta: 0 }), 2],
  ["DPM++ 2S", dpmppSinglestep({ order: 2 }), 2],
  ["DEIS 2", deis({ order: 2 }), 2],
  ["UniP and UniC 1", uniPc({ order: 1 }), 2],
];

for (const [name, solver, order] of ORDERS) {
  Deno.test(`${name} converges with order ${order}`, () => {
    const observed = Math.log2(error(solver, 128) / error(solver, 256));
    assert.ok(Math.abs(observed - order) < 0.15, `observed order ${observed}`);
  });
}

Deno.test("multistep solvers of a higher order are nearer than those of a lower one", () => {
  const pairs: readonly (readonly [string, Solver, Solver])[] = [
    ["LMS", lms(4), lms(2)],
    ["DEIS", deis({ order: 3 }), deis({ order: 2 })],
    ["UniPC", uniPc({ order: 3 }), uniPc({ order: 2 })],
    ["UniPC bh1", uniPc({ order: 3, variant: "bh1" }), uniPc({ order: 1, variant: "bh1" })],
    ["DPM++ S", dpmppSinglestep({ order: 3 }), dpmppSinglestep({ order: 2 })],
    ["DPM-Solver M", dpmSolverMultistep({ order: 3 }), dpmSolverMultistep({ order: 2 })],
  ];
  for (const [name, higher, lower] of pairs) {
    assert.ok(error(higher, 48) < error(lower, 48) / 1.2, name);
  }
});

Deno.test("without new noise the stochastic solvers are the deterministic ones", () => {
  const sigmas = [...evenInLog(6), 0];
  const pairs: readonly (readonly [string, Solver, Solver])[] = [
    ["Euler a", eulerAncestral({ eta: 0 }), EULER],
    ["DPM2 a", dpm2({ eta: 0 }), dpm2()],
    ["DPM++ 2M SDE", dpmppMultistep({ order: 2, eta: 0 }), dpmppMultistep({ order: 2 })],
    ["churn 0", withChurn(HEUN, { amount: 0 }), HEUN],
    ["churn elsewhere", withChurn(EULER, { amount: 9, sigmaMin: 20 }), EULER],
  ];
  for (const [name, stochastic, deterministic] of pairs) {
    const actual = sampled(samplerOn(stochastic, sigmas), startTensor());
    assertClose(name, actual, sampled(samplerOn(deterministic, sigmas), startTensor()), 1e-6);
  }
});

Deno.test("order 2 of DPM-Solver is DPM2, and order 1 is Euler", () => {
  const sigmas = evenInLog(6);
  for (const [order, solver] of [[1, EULER], [2, dpm2()]] as const) {
    assertClose(
      `order ${order}`,
      sampled(samplerOn(dpmSolverSinglestep(order), sigmas), startTensor()),
      sampled(samplerOn(solver, sigmas), startTensor()),
      1e-6,
    );
  }
});

Deno.test("a step of DDPM is the posterior's mean and variance on sqrt(alphaBar) x", () => {
  const [sigma, sigmaNext] = [2, 1.3];
  const sampler = samplerOn(DDPM, [sigma, sigmaNext]);
  const [x, epsilon, noise] = [f32([1], [1.7]), f32([1], [0.4]), f32([1], [-0.6])];
  const prediction = { guided: epsilon, conditional: epsilon };
  const { state } = sampler.step(prediction, 0, { latents: x, memory: {} }, [noise]);
  // Ho et al. 2020, Algorithm 2 with Eq. 7.
  const [alphaBar, alphaBarPrev] = [1 / (1 + sigma ** 2), 1 / (1 + sigmaNext ** 2)];
  const alpha = alphaBar / alphaBarPrev;
  const mean = (1.7 * Math.sqrt(alphaBar) - (1 - alpha) / Math.sqrt(1 - alphaBar) * 0.4) /
    Math.sqrt(alpha);
  const variance = (1 - alphaBarPrev) / (1 - alphaBar) * (1 - alpha);
  const expected = mean + Math.sqrt(variance) * -0.6;
  assert.ok(Math.abs(state.latents.data[0]! * Math.sqrt(alphaBarPrev) - expected) < 1e-6);
});

Deno.test("churn begins a step higher, with as much noise as that takes", () => {
  const sigmas = [2, 1];
  const sampler = samplerOn(withChurn(EULER, { amount: 0.2, noiseScale: 1.5 }), sigmas);
  assert.deepEqual(sampler.evaluations.map(({ sigma, noiseCount }) => [sigma, noiseCount]), [
    [2.4, 1],
  ]);
  const [x, noise] = [f32([1], [3]), f32([1], [-0.5])];
  const raised = 3 - 0.5 * 1.5 * Math.sqrt(2.4 ** 2 - 2 ** 2);
  const input = sampler.scaleModelInput(x, 0, [noise]).data[0]!;
  assert.ok(Math.abs(input - raised / Math.hypot(2.4, 1)) < 1e-6);
  const epsilon = f32([1], [0.7]);
  const prediction = { guided: epsilon, conditional: epsilon };
  const { state } = sampler.step(prediction, 0, { latents: x, memory: {} }, [noise]);
  assert.ok(Math.abs(state.latents.data[0]! - (raised + 0.7 * (1 - 2.4))) < 1e-6);
  // At most so that sigma grows by sqrt(2).
  const most = samplerOn(withChurn(EULER, { amount: 99 }), sigmas).evaluations[0]!.sigma;
  assert.ok(Math.abs(most - 2 * Math.SQRT2) < 1e-12);
});

Deno.test("single-step solvers group steps so that the last is of order 1, or 2 where it must", () => {
  assert.deepEqual(stepOrders(2, 8), [1, 2, 1, 2, 1, 2, 1, 1]);
  assert.deepEqual(stepOrders(2, 9), [1, 2, 1, 2, 1, 2, 1, 2, 1]);
  assert.deepEqual(stepOrders(3, 8), [1, 2, 3, 1, 2, 3, 1, 2]);
  assert.deepEqual(stepOrders(3, 9), [1, 2, 3, 1, 2, 3, 1, 2, 1]);
  assert.deepEqual(stepOrders(3, 10), [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]);
  for (const order of [2, 3] as const) assert.deepEqual(stepOrders(order, 1), [1]);
});

const CLEAN = f32([1, 3], [0.5, -1, 2]);

/** Whether a run with a model that knows the clean latents ends at them, from any of its evaluations. */
function assertEndsClean(sampler: Sampler, what: string, begin = 0): void {
  const noise = () => randomTensor([1, 3], 7);
  let state: SamplerState = { latents: sampler.addNoise(CLEAN, noise(), begin), memory: {} };
  for (const [index, { sigma, noiseCount }] of [...sampler.evaluations.entries()].slice(begin)) {
    const drawn = Array.from({ length: noiseCount }, noise);
    const input = sampler.scaleModelInput(state.latents, index, drawn);
    // v = (sqrt(alphaBar) x - x_0) / sqrt(1 - alphaBar) for x = sqrt(alphaBar) x_0 + sqrt(1 - alphaBar) z
    const alphaBar = 1 / (1 + sigma ** 2);
    const velocity = Array.from(
      input.data,
      (x, i) => (Math.sqrt(alphaBar) * x - CLEAN.data[i]!) / Math.sqrt(1 - alphaBar),
    );
    const guided = likeInput(input, velocity);
    ({ state } = sampler.step({ guided, conditional: guided }, index, state, drawn));
  }
  // Some end at the least noise of training, of deviation 0.03.
  const distance = Math.hypot(...CLEAN.data.map((x, i) => x - state.latents.data[i]!));
  assert.ok(distance < 0.1, `${what} ends ${distance} away`);
}

const VELOCITY = { ...DEFAULT_SCHEDULER_CONFIG, predictionType: "v_prediction" } as const;

for (const definition of SAMPLERS) {
  const { name } = definition;
  Deno.test(`${name} ends at the clean latents of a model that knows them, with any steps and schedule`, () => {
    // DDIM and PNDM take strides of floor(1000 / n) between timesteps of any spacing, as diffusers': linspace's are wider.
    const schedules = SIGMA_SCHEDULES.filter((schedule) =>
      takesSchedule(definition, schedule) &&
      !(definition.schedules === "spacings" && schedule === "linspace")
    );
    for (const schedule of [undefined, ...schedules]) {
      for (const steps of [1, 2, 3, 4, 5, 8, 20]) {
        const options = { steps, config: VELOCITY };
        const sampler = createSampler(name, schedule ? { ...options, schedule } : options);
        assertEndsClean(sampler, `${name} ${schedule} ${steps}`);
      }
    }
  });

  Deno.test(`${name} can begin at any of its steps`, () => {
    const sampler = createSampler(name, { steps: 7, config: VELOCITY });
    const begins = sampler.evaluations.flatMap(({ stepIndex }, i) =>
      stepIndex === sampler.evaluations[i - 1]?.stepIndex ? [] : [i]
    );
    assert.equal(begins.length, 7);
    for (const begin of begins) assertEndsClean(sampler, `${name} from ${begin}`, begin);
  });

  Deno.test(`${name} does with zero terminal SNR what it does without`, () => {
    const config = { ...VELOCITY, rescaleBetasZeroSnr: true };
    // PNDM cannot begin at pure noise.
    const spacing = name === "pndm" ? "leading" : "trailing";
    assertEndsClean(
      createSampler(name, { steps: 8, config: { ...config, timestepSpacing: spacing } }),
      name,
    );
  });
}

Deno.test("a step gives the same bits when it is repeated", () => {
  for (const { name } of SAMPLERS) {
    const sampler = createSampler(name, { steps: 4, config: DEFAULT_SCHEDULER_CONFIG });
    const twice = [0, 1].map(() => sampled(sampler, startTensor()));
    assert.ok(bitEqual(twice[0]!.data, twice[1]!.data), name);
  }
});
