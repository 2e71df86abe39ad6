/**
 * The equations of `docs/spec.md` as properties of the functions that compute them, in the order of its table. Each is checked
 * on numbers for which a wrong sign, index or constant would show.
 *
 * @module
 */

import assert from "node:assert/strict";
import { meanConditioning, UniformAggregator } from "../coordinator/sampling/aggregation.ts";
import { classifierFreeGuidance } from "../coordinator/sampling/guidance.ts";
import { magicFusion } from "../coordinator/sampling/methods/magic_fusion.ts";
import { switchedExpert } from "../coordinator/sampling/methods/switch.ts";
import { OneHotAggregator } from "../coordinator/sampling/one_hot_aggregator.ts";
import { epsilonAndDenoised } from "../coordinator/sampling/prediction.ts";
import { DdimSampler } from "../coordinator/sampling/samplers/ddim.ts";
import { ancestralStep } from "../coordinator/sampling/samplers/euler_ancestral.ts";
import { karrasSigmas } from "../coordinator/sampling/samplers/sigma_schedules.ts";
import {
  addNoise,
  alphasCumprod,
  sigmaOf,
  velocity,
} from "../coordinator/sampling/samplers/noise_schedule.ts";
import { createSampler } from "../coordinator/sampling/samplers/samplers.ts";
import {
  initialState,
  type Sampler,
  type SamplerState,
} from "../coordinator/sampling/samplers/sampler.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../coordinator/sampling/samplers/scheduler_config.ts";
import { adamw, ADAMW_DEFAULTS, zeroMoments } from "../coordinator/training/adamw.ts";
import { attentionPenalty } from "../coordinator/training/attention_penalty.ts";
import { sampleLatents } from "../coordinator/training/dataset/examples.ts";
import { noiseLoss } from "../coordinator/training/noise_loss.ts";
import { timestepEmbedding } from "../shared/models/unet/time_embedding.ts";
import { emphasize } from "../shared/prompt/emphasis.ts";
import { bitEqual } from "../shared/tensor/compare.ts";
import { lincomb } from "../shared/tensor/lincomb.ts";
import { f32, type F32Tensor, sliceRows } from "../shared/tensor/tensor.ts";
import {
  afaInputs,
  forwardOnce,
  type GoldenEnsemble,
  openGoldenEnsemble,
} from "./coordinator/sampling/golden_ensemble.ts";
import {
  FIRST_EXPERT_ONLY,
  type SabwChanges,
  writeSabw,
  ZERO_CONV_OUT,
} from "./coordinator/sampling/methods/sabw_folder.ts";
import { openTrainingPass } from "./coordinator/training/training_pass.ts";
import { randomTensor } from "./support/expert_inputs.ts";
import { assertClose, assertFar } from "./support/goldens.ts";
import { tempFolder } from "./support/temp_folder.ts";

const CONFIG = { ...DEFAULT_SCHEDULER_CONFIG, timestepSpacing: "leading" } as const;
const SHAPE = [2, 4, 4, 4];
/** What rounding to f32 once or twice may cost. */
const ROUNDING = 1e-6;

function near(actual: number, expected: number, tolerance = 1e-9): void {
  const error = Math.abs(actual - expected) / Math.max(1e-12, Math.abs(expected));
  assert.ok(error <= tolerance, `${actual} is not ${expected}`);
}

/** Features of two experts and what SABW sees besides, for the reference SABW's first block. */
function sabwInputs({ a }: GoldenEnsemble) {
  const { timeEmbedDim, crossAttentionDim, blocks } = a.description;
  const channels = blocks[0]!.outChannels;
  return {
    features: [randomTensor([1, channels, 4, 4], 3), randomTensor([1, channels, 4, 4], 4)],
    conditioning: {
      temb: randomTensor([1, timeEmbedDim], 1),
      encoderHiddenStates: randomTensor([1, 16, crossAttentionDim], 2),
    },
  };
}

Deno.test("conditioning of SABW: temb = 1/N sum temb_i, ctx = 1/N sum ctx_i", () => {
  const expert = (temb: number, ctx: number) => ({
    temb: f32([1, 2], [temb, -temb]),
    encoderHiddenStates: f32([1, 1, 1], [ctx]),
  });
  const means = meanConditioning([expert(1, 3), expert(2, 5), expert(9, -2)]);
  assert.deepEqual([...means.temb.data], [4, -4]);
  assert.deepEqual([...means.encoderHiddenStates.data], [2]);
});

Deno.test("SABW: A is a softmax over the experts, and h = sum A_i f_i at every pixel", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { features, conditioning } = sabwInputs(ensemble);
  const sabw = await ensemble.openSabw();
  const { aggregatedFeatures, attentionMap } = await sabw.aggregate("IN00", features, conditioning);
  const [, channels = 0, height = 0, width = 0] = aggregatedFeatures.shape;
  const pixels = height * width;
  const map = attentionMap!.data;
  for (let p = 0; p < pixels; p++) {
    near(map[p]! + map[pixels + p]!, 1, ROUNDING);
    assert.ok(map[p]! > 0 && map[pixels + p]! > 0);
  }
  assert.ok(new Set(map).size > pixels, "the map differs from pixel to pixel");
  const expected = f32(aggregatedFeatures.shape);
  for (let i = 0; i < channels * pixels; i++) {
    const p = i % pixels;
    expected.data[i] = map[p]! * features[0]!.data[i]! + map[pixels + p]! * features[1]!.data[i]!;
  }
  assertClose("h", aggregatedFeatures, expected, ROUNDING);
  // It looks at time and text, and at which expert is which.
  const others = [
    [features, { ...conditioning, temb: randomTensor(conditioning.temb.shape, 8) }],
    [features, {
      ...conditioning,
      encoderHiddenStates: randomTensor(conditioning.encoderHiddenStates.shape, 9),
    }],
    [features.toReversed(), conditioning],
  ] as const;
  for (const [index, [given, other]] of others.entries()) {
    const changed = await sabw.aggregate("IN00", given, other);
    assertFar(`change ${index}`, changed.attentionMap!, attentionMap!, 1e-4);
  }
});

/** Logits divided by this are as good as equal. */
const TEMPERATURE: SabwChanges = { config: { temperature: 1e6 } };

Deno.test("SABW: zero conv_out gives the mean, one expert itself, a high temperature nearly the mean", async () => {
  await using temp = await tempFolder();
  await using ensemble = await openGoldenEnsemble();
  const { features, conditioning } = sabwInputs(ensemble);
  const aggregate = async (name: string, changes: SabwChanges, count: number) => {
    const sabw = await ensemble.openSabw(await writeSabw(temp, name, changes), count);
    return await sabw.aggregate("IN00", features.slice(0, count), conditioning);
  };
  const uniform = await new UniformAggregator().aggregate("IN00", features);
  const half = lincomb(features.map((feature) => [1 / 2, feature] as const));
  assert.deepEqual(uniform.aggregatedFeatures.data, half.data);
  const zero = await aggregate("zero", ZERO_CONV_OUT, 2);
  assertClose("zero", zero.aggregatedFeatures, half, ROUNDING);
  const one = await aggregate("one", FIRST_EXPERT_ONLY, 1);
  assert.ok(bitEqual(one.aggregatedFeatures.data, features[0]!.data));
  const hot = await aggregate("hot", TEMPERATURE, 2);
  assertClose("hot", hot.aggregatedFeatures, half, 1e-4);
});

Deno.test("ensembled forward: one expert is the plain U-Net; one-hot is that expert; twins are the single one", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a, b, experts } = ensemble;
  const inputs = await afaInputs();
  const [textA, textB] = inputs.texts;
  const plain = async (expert: typeof a, text: F32Tensor) => {
    const [batch = 0, , height = 0, width = 0] = inputs.x.shape;
    const { timesteps } = inputs;
    const config = { batch, height, width, timesteps, encoderHiddenStates: text };
    const session = await expert.openSession(config);
    const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates: inputs.x };
    const { hiddenStates } = await session.forward(range);
    const copy = f32(hiddenStates.shape, hiddenStates.data.slice());
    await session.close();
    return copy;
  };
  const [alone, other] = [await plain(a, textA!), await plain(b, textB!)];
  assertFar("the two experts", alone, other);
  const single = await forwardOnce([a], new UniformAggregator(), inputs);
  assert.ok(bitEqual(single.get("eps")!.data, alone.data));
  for (const [index, expected] of [alone, other].entries()) {
    const oneHot = await forwardOnce(experts, new OneHotAggregator(() => index), inputs);
    assert.ok(bitEqual(oneHot.get("eps")!.data, expected.data), `one-hot ${index}`);
  }
  const twins = { ...inputs, texts: [textA!, textA!] };
  const same = await forwardOnce([a, a], await ensemble.openSabw(), twins);
  assertClose("twins under SABW", same.get("eps")!, alone, 1e-6);
  // Averaging the noise is the mean of the plain predictions; averaging every block is not.
  const mean = lincomb([[1 / 2, alone], [1 / 2, other]]);
  const noise = await forwardOnce(experts, new UniformAggregator(), inputs, "noise");
  assertClose("noise averaging", noise.get("eps")!, mean, ROUNDING);
  const blocks = await forwardOnce(experts, new UniformAggregator(), inputs);
  assertFar("block-wise averaging", blocks.get("eps")!, mean, 1e-3);
});

Deno.test("VJP: a step of SABW's weights against its gradient lowers the loss by the gradient's square", async () => {
  await using pass = await openTrainingPass("noise");
  const { gradParameters } = await pass.gradients();
  assert.deepEqual([...gradParameters.keys()], ["OUT11"]);
  const weights = pass.sabw.parameters.get("OUT11")!;
  const gradients = gradParameters.get("OUT11")!;
  const moveBy = (step: number) => {
    for (const [key, { data }] of gradients) {
      const weight = weights.get(key)!.data;
      for (let i = 0; i < data.length; i++) weight[i]! += step * data[i]!;
    }
  };
  let square = 0;
  for (const { data } of gradients.values()) for (const value of data) square += value * value;
  assert.ok(square > 0);
  // Far enough that the loss changes by more than it is rounded, near enough that it is a straight line.
  const step = 1e-3 / Math.sqrt(square);
  moveBy(step);
  const above = await pass.loss(pass.x);
  moveBy(-2 * step);
  const below = await pass.loss(pass.x);
  near((above - below) / (2 * step), square, 2e-2);
});

Deno.test("training loss: the mean square, and the gradient that a difference of losses has", () => {
  const [noise, target] = [randomTensor(SHAPE, 1), randomTensor(SHAPE, 2)];
  assert.equal(noiseLoss(target, target).loss, 0);
  near(noiseLoss(f32([2], [1, 5]), f32([2], [3, 1])).loss, (4 + 16) / 2);
  const direction = randomTensor(SHAPE, 3);
  const at = (step: number) => noiseLoss(lincomb([[1, noise], [step, direction]]), target).loss;
  const { gradNoise } = noiseLoss(noise, target);
  const slope = gradNoise.data.reduce((sum, g, i) => sum + g * direction.data[i]!, 0);
  // A parabola: the central difference is exact, up to rounding.
  near(at(0.5) - at(-0.5), slope, 1e-5);
});

Deno.test("AdamW: the first update is the sign of the gradient, the decay a share of the weight", () => {
  const weights = f32([3], [1, -2, 0.5]);
  const gradient = f32([3], [4, -0.25, 1e-3]);
  const { parameter } = adamw(weights, gradient, zeroMoments(weights), 1);
  const { learningRate, weightDecay } = ADAMW_DEFAULTS;
  weights.data.forEach((w, i) => {
    const expected = w - learningRate * (weightDecay * w + Math.sign(gradient.data[i]!));
    near(parameter.data[i]!, expected, ROUNDING);
  });
});

Deno.test("penalties: 0 for equal use, N - 1 and 1 for one expert alone", () => {
  const even = f32([1, 3, 1, 2], new Array(6).fill(1 / 3));
  const alone = f32([1, 3, 1, 2], [0, 0, 1, 1, 0, 0]);
  const of = (map: F32Tensor, balance: number, certainty: number) =>
    attentionPenalty(map, { balance, certainty }).penalty;
  assert.ok(Math.abs(of(even, 1, 0)) < ROUNDING && Math.abs(of(even, 0, 1)) < ROUNDING);
  near(of(alone, 1, 0), 2, ROUNDING);
  near(of(alone, 0, 1), 1, ROUNDING);
});

Deno.test("forward process: alphaBar falls from 0.99915 to 0.0046601, and x_t keeps unit variance", () => {
  const alphas = alphasCumprod(CONFIG);
  near(alphas[0]!, 1 - 0.00085, 1e-12);
  near(alphas[999]!, 0.0046601, 1e-4);
  assert.ok(alphas.every((alpha, t) => t === 0 || alpha < alphas[t - 1]!));
  near(sigmaOf(alphas[999]!), 14.6146, 1e-5);
  near(sigmaOf(alphas[0]!), 0.0291672, 1e-5);
  const one = f32([1], [1]), zero = f32([1], [0]);
  for (const t of [0, 500, 999]) {
    const [signal] = addNoise(one, zero, alphas[t]!).data;
    const [noise] = addNoise(zero, one, alphas[t]!).data;
    near(signal! ** 2 + noise! ** 2, 1, ROUNDING);
    near(noise! / signal!, sigmaOf(alphas[t]!), ROUNDING);
  }
});

Deno.test("predictions: epsilon and v give back the clean latents and the noise that were mixed", () => {
  const [clean, noise] = [randomTensor(SHAPE, 1), randomTensor(SHAPE, 2)];
  const alphaBar = 0.3;
  const latents = addNoise(clean, noise, alphaBar);
  for (
    const [type, output] of [
      ["epsilon", noise],
      ["v_prediction", velocity(clean, noise, alphaBar)],
    ] as const
  ) {
    const { epsilon, denoised } = epsilonAndDenoised(output, latents, alphaBar, type);
    assertClose(`epsilon of ${type}`, epsilon, noise, ROUNDING);
    assertClose(`x_0 of ${type}`, denoised, clean, ROUNDING);
  }
});

Deno.test("guidance: 0 is unconditional, 1 conditional, 7.5 goes on beyond it", () => {
  const unconditional = f32([1], [2]), conditional = f32([1], [3]);
  const at = (scale: number) =>
    classifierFreeGuidance({ unconditional, conditional }, scale).data[0];
  assert.deepEqual([at(0), at(1), at(7.5)], [2, 3, 9.5]);
  assert.equal(classifierFreeGuidance({ conditional }, 1), conditional);
});

/** A run in which every prediction is the noise that is in the latents, whose clean latents are known. */
function runWithTrueNoise(sampler: Sampler, clean: F32Tensor, start: SamplerState) {
  const alphas = alphasCumprod(CONFIG);
  let state = start;
  const states = [];
  for (const [index, { timestep, noiseCount }] of sampler.evaluations.entries()) {
    assert.equal(noiseCount, 0);
    const input = sampler.scaleModelInput(state.latents, index, []);
    const alphaBar = Number.isInteger(timestep)
      ? alphas[timestep]!
      : 1 / (1 + sampler.evaluations[index]!.sigma ** 2);
    // epsilon in input = sqrt(alphaBar) clean + sqrt(1 - alphaBar) epsilon
    const guided = lincomb([
      [1 / Math.sqrt(1 - alphaBar), input],
      [-Math.sqrt(alphaBar / (1 - alphaBar)), clean],
    ]);
    const step = sampler.step({ guided, conditional: guided }, index, state, []);
    state = step.state;
    states.push({ ...step, guided });
  }
  return states;
}

Deno.test("DDIM: with the true noise, every step is the forward process at the timestep before", () => {
  const [clean, noise] = [randomTensor(SHAPE, 1), randomTensor(SHAPE, 2)];
  const sampler = new DdimSampler(10, CONFIG);
  assert.deepEqual(sampler.evaluations.map(({ timestep }) => timestep), [
    ...[901, 801, 701, 601, 501, 401, 301, 201, 101, 1],
  ]);
  const start = { latents: sampler.addNoise(clean, noise, 0), memory: {} };
  const alphas = alphasCumprod(CONFIG);
  runWithTrueNoise(sampler, clean, start).forEach(({ state, denoised, guided }, index) => {
    assertClose(`x_0 at step ${index}`, denoised, clean, 1e-4);
    assertClose(`noise at step ${index}`, guided, noise, 1e-3);
    // Before timestep 1 it is that of timestep 0: a little noise stays.
    const alphaBar = alphas[Math.max(0, 801 - 100 * index)]!;
    assertClose(`step ${index}`, state.latents, addNoise(clean, noise, alphaBar), 1e-5);
  });
});

for (const name of ["pndm", "euler", "heun"]) {
  Deno.test(`${name}: with the true noise, every evaluation is on the forward process, and the end is clean`, () => {
    const [clean, noise] = [randomTensor(SHAPE, 1), randomTensor(SHAPE, 2)];
    const sampler = createSampler(name, { steps: 20, config: DEFAULT_SCHEDULER_CONFIG });
    const start = { latents: sampler.addNoise(clean, noise, 0), memory: {} };
    const states = runWithTrueNoise(sampler, clean, start);
    for (const [index, { state }] of states.slice(0, -1).entries()) {
      const expected = sampler.addNoise(clean, noise, index + 1);
      assertClose(`after evaluation ${index}`, state.latents, expected, 1e-4);
    }
    // PNDM ends at timestep 0, whose noise level is 0.029; those on noise levels end at 0.
    const tolerance = name === "pndm" ? 0.05 : 1e-4;
    assertClose("the end", states.at(-1)!.state.latents, clean, tolerance);
  });
}

Deno.test("ancestral noise: down^2 + up^2 = sigma'^2, and eta 0 draws nothing", () => {
  for (const [sigma, next] of [[14, 9], [2, 0.5], [0.1, 0.03]] as const) {
    for (const eta of [0, 0.5, 1]) {
      const { down, up } = ancestralStep(sigma, next, eta);
      near(down ** 2 + up ** 2, next ** 2);
      if (eta === 0) assert.deepEqual([down, up], [next, 0]);
      else near(up, eta * next * Math.sqrt(1 - (next / sigma) ** 2));
    }
  }
});

Deno.test("Karras' levels: both ends, and even steps of the seventh root", () => {
  const sigmas = karrasSigmas(5, 0.03, 14.6);
  near(sigmas[0]!, 14.6);
  near(sigmas[4]!, 0.03);
  const roots = sigmas.map((sigma) => sigma ** (1 / 7));
  for (const i of [1, 2, 3]) near(roots[i]! - roots[i - 1]!, roots[i + 1]! - roots[i]!);
});

Deno.test("MagicFusion: each pixel has the noise of one expert, that whose guidance stands out there", () => {
  const shape = [1, 1, 8, 8];
  const halves = (upper: number, lower: number) =>
    f32(shape, Array.from({ length: 64 }, (_, i) => i < 32 ? upper : lower));
  // Guidance moves the upper half of the first, and the lower half of the second: what that predicts in its upper half, it
  // predicts without a prompt, too.
  const experts = [
    { unconditional: halves(0, 0), conditional: halves(2, 0) },
    { unconditional: halves(10, 0), conditional: halves(10, 2) },
  ];
  const options = { unconditional: "own", general: 0, sharpness: [1, 1] } as const;
  const { conditional } = magicFusion(experts, 7.5, options);
  for (const y of [1, 6]) {
    assert.deepEqual([...conditional.data.subarray(8 * y, 8 * y + 8)], new Array(8).fill(2));
  }
  const swapped = magicFusion(experts.toReversed(), 7.5, options);
  assert.deepEqual(swapped.conditional.data.subarray(8, 16), conditional.data.subarray(8, 16));
});

Deno.test("switch: each expert plays its share of the steps", () => {
  const parts = [{ expert: 1, from: 0 }, { expert: 0, from: 0.4 }];
  const played = Array.from({ length: 5 }, (_, stepIndex) => {
    const step = { stepIndex, stepCount: 5, sigma: 1, timestep: 1, noiseCount: 0 };
    return switchedExpert(parts, "fraction", step);
  });
  assert.deepEqual(played, [1, 1, 0, 0, 0]);
});

Deno.test("time embedding: cosines first, frequencies from 1 down to 10000^(-(half-1)/half)", () => {
  const { data } = timestepEmbedding([0, 3], 4, { flipSinToCos: true, freqShift: 0 });
  assert.deepEqual([...data.subarray(0, 4)], [1, 1, 0, 0]);
  const expected = [Math.cos(3), Math.cos(0.03), Math.sin(3), Math.sin(0.03)];
  expected.forEach((value, k) => near(data[4 + k]!, value, ROUNDING));
});

Deno.test("weights of words: a state is multiplied, and the chunk keeps its mean", () => {
  const states = f32([1, 2, 2], [1, 3, 5, 7]);
  const weighted = emphasize(states, [[1, 2]]);
  // Weighted: 1, 3, 10, 14, mean 7; the mean was 4.
  assertClose("states", weighted, f32([1, 2, 2], [1, 3, 10, 14].map((x) => x * 4 / 7)), ROUNDING);
});

Deno.test("encoding: a sample of the VAE's distribution has its mean and deviation, scaled", () => {
  const of = (mean: number, logvar: number, z: number) =>
    sampleLatents(
      { mean: f32([1], [mean]), logvar: f32([1], [logvar]) },
      f32([1], [z]),
      0.18215,
    ).data[0]!;
  near(of(2, Math.log(9), 0), 0.18215 * 2, ROUNDING);
  near(of(2, Math.log(9), 1) - of(2, Math.log(9), 0), 0.18215 * 3, ROUNDING);
});

Deno.test("first latents: unit noise times the sampler's factor, row by row", () => {
  const noise = randomTensor(SHAPE, 1);
  const sampler = createSampler("euler", { steps: 20, config: DEFAULT_SCHEDULER_CONFIG });
  const { latents } = initialState(sampler, noise);
  assertClose("latents", latents, lincomb([[sampler.initNoiseSigma, noise]]), 0);
  const [first, second] = [sliceRows(latents, 0, 1), sliceRows(latents, 1, 2)];
  assertFar("two images", first, second);
});
