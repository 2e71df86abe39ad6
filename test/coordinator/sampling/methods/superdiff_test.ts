import assert from "node:assert/strict";
import { newJob } from "../../../../coordinator/jobs/job_spec.ts";
import {
  decodeCheckpoint,
  encodeCheckpoint,
} from "../../../../coordinator/jobs/step_checkpoint.ts";
import type { NoisePrediction } from "../../../../coordinator/sampling/guidance.ts";
import { ImageNoise } from "../../../../coordinator/sampling/image_noise.ts";
import { createMethod } from "../../../../coordinator/sampling/methods/methods.ts";
import type { MethodContext } from "../../../../coordinator/sampling/methods/definition.ts";
import type { NoisyLatents } from "../../../../coordinator/sampling/methods/method.ts";
import {
  logDensityChanges,
  superpose,
} from "../../../../coordinator/sampling/methods/superdiff.ts";
import type { PredictionType } from "../../../../coordinator/sampling/prediction.ts";
import { initialState, type Sampler } from "../../../../coordinator/sampling/samplers/sampler.ts";
import { sample, type SampleRequest } from "../../../../coordinator/sampling/sample.ts";
import { createSampler } from "../../../../coordinator/sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import {
  type GaussianData,
  idealPrediction,
  likeInput,
} from "../../../../coordinator/verify/eval/ideal_network.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { lincomb } from "../../../../shared/tensor/lincomb.ts";
import { concatRows, f32, type F32Tensor, sliceRows } from "../../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { assertClose } from "../../../support/goldens.ts";
import { run, SMALL_PICTURE, smallRequest } from "../small_run.ts";

const SHAPE = [1, 2, 2, 2], SIZE = 8;

/** Two densities that overlap. */
const DATA: readonly GaussianData[] = [
  { mean: new Array(SIZE).fill(0.5), std: new Array(SIZE).fill(1) },
  { mean: new Array(SIZE).fill(-0.3), std: new Array(SIZE).fill(0.7) },
];

function predict(
  data: GaussianData,
  { sigma, latentModelInput }: NoisyLatents,
  type: PredictionType = "epsilon",
): F32Tensor {
  const ideal = idealPrediction(data, latentModelInput.data, 1 / (sigma ** 2 + 1));
  const values = ideal.map(({ epsilon, velocity }) => type === "epsilon" ? epsilon : velocity);
  return likeInput(latentModelInput, values);
}

/** Of `x = x_0 + sigma z`, in closed form. */
function logDensity(
  { mean, std }: GaussianData,
  { sigma, latentModelInput }: NoisyLatents,
): number {
  return latentModelInput.data.reduce((sum, value, i) => {
    const x = value * Math.hypot(sigma, 1);
    const variance = std[i]! ** 2 + sigma ** 2;
    return sum - (x - mean[i]!) ** 2 / (2 * variance) - Math.log(2 * Math.PI * variance) / 2;
  }, 0);
}

/** What each evaluation of a run sees, with the noise of `move` as the prediction that moves it. */
function* walk(
  sampler: Sampler,
  seed: bigint,
  move: (at: NoisyLatents) => F32Tensor,
): Generator<NoisyLatents> {
  const noise = new ImageNoise([seed], SHAPE.slice(1));
  let state = initialState(sampler, noise.next());
  for (const [index, evaluation] of sampler.evaluations.entries()) {
    const drawn = noise.take(evaluation);
    const latentModelInput = sampler.scaleModelInput(state.latents, index, drawn);
    const at = { sigma: evaluation.sigma, latentModelInput };
    yield at;
    const guided = move(at);
    state = sampler.step({ guided, conditional: guided }, index, state, drawn).state;
  }
}

/** Root mean square, over runs and experts, of what the estimator misses of the change of log q over whole runs. */
function missed(name: string, steps: number, predictionType: PredictionType = "epsilon"): number {
  const config = { ...DEFAULT_SCHEDULER_CONFIG, predictionType };
  const sampler = createSampler(
    name,
    { steps, config, eta: name === "ddpm" ? undefined : 1 } as never,
  );
  // Whatever moves x: neither expert's prediction, but something between.
  const mixed = (at: NoisyLatents) =>
    lincomb(DATA.map((data) => [0.5, predict(data, at, predictionType)] as const));
  const runs = 6;
  let squares = 0;
  for (let seed = 0; seed < runs; seed++) {
    const path = [...walk(sampler, BigInt(seed), mixed)];
    const sums = DATA.map(() => 0);
    for (const [index, from] of path.slice(0, -1).entries()) {
      const predictions = DATA.map((data) => ({
        conditional: predict(data, from, predictionType),
      }));
      const [changes] = logDensityChanges({
        predictions,
        predictionType,
        from,
        to: path[index + 1]!,
      });
      changes!.forEach((change, i) => sums[i]! += change);
    }
    for (const [i, data] of DATA.entries()) {
      const exact = logDensity(data, path.at(-1)!) - logDensity(data, path[0]!);
      squares += (sums[i]! - exact) ** 2;
    }
  }
  return Math.sqrt(squares / (runs * DATA.length));
}

Deno.test("the Itô density estimator finds the log densities of Gaussian data, the closer the more steps", () => {
  for (const name of ["euler_a", "ddim"]) {
    const [few, more, many] = [missed(name, 20), missed(name, 100), missed(name, 500)] as const;
    assert.ok(more < few / 2 && many < more / 1.5, `${name}: ${few}, ${more}, ${many}`);
    assert.ok(many < 1, `${name}: ${many} of changes of about 20`);
  }
});

Deno.test("the Itô density estimator reads velocity as the noise that it stands for", () => {
  const noise = missed("euler_a", 20), velocity = missed("euler_a", 20, "v_prediction");
  assert.ok(Math.abs(noise - velocity) < 1e-3, `${noise}, ${velocity}`);
});

Deno.test("superpose() weighs by softmax(T log q + bias), each image by its own densities", () => {
  const predictions = [1, 2].map((seed) => ({
    conditional: randomTensor([2, 4, 4, 4], seed),
    unconditional: randomTensor([2, 4, 4, 4], seed + 10),
  }));
  const logDensities = f32([2, 2], [0, -1.5, -40, 0]);
  const kappa = 1 / (1 + Math.exp(-2 * 1.5 + 0.5));
  const weighed = superpose(predictions, logDensities, { temperature: 2, bias: [0, 0.5] });
  for (const half of ["conditional", "unconditional"] as const) {
    const [first, second] = predictions.map((each) => each[half]);
    const row = (tensor: F32Tensor, image: number) => sliceRows(tensor, image, image + 1);
    const expected = lincomb([[kappa, row(first!, 0)], [1 - kappa, row(second!, 0)]]);
    assertClose(half, row(weighed[half]!, 0), expected, 1e-6);
    // Behind by 80 an expert weighs nothing that a float could hold.
    assert.ok(bitEqual(row(weighed[half]!, 1).data, row(second!, 1).data), half);
  }
  const even = superpose(predictions, logDensities, { temperature: 0, bias: [0, 0] });
  const mean = lincomb(predictions.map(({ conditional }) => [0.5, conditional] as const));
  assertClose("T = 0", even.conditional, mean, 1e-6);
});

/** Two lumps that are far apart; in one dimension each element would choose by itself. */
const LUMPS: readonly GaussianData[] = [3, -3].map((mean) => ({
  mean: new Array(SIZE).fill(mean),
  std: new Array(SIZE).fill(0.3),
}));

const CONTEXT: MethodContext = {
  experts: ["right", "left"],
  blocks: new AffineExpert().description.blocks,
  guidanceScale: 1,
  sampler: { name: "euler_a" },
  picture: SMALL_PICTURE,
};

/** Means over the elements of where runs of experts that know one lump each end. */
function endsOf(text: string): number[] {
  const sampler = createSampler("euler_a", { steps: 60, config: DEFAULT_SCHEDULER_CONFIG });
  const method = createMethod(text, CONTEXT);
  return Array.from({ length: 24 }, (_, seed) => {
    let memory = method.memory?.begin(1);
    let before: { at: NoisyLatents; predictions: NoisePrediction[] } | undefined;
    let last = 0;
    const path = walk(sampler, BigInt(seed), (at) => {
      if (before) {
        const { at: from, predictions } = before;
        const step = { predictions, predictionType: "epsilon", from, to: at } as const;
        memory = method.memory?.after({ ...step, memory: memory! });
      }
      const predictions = LUMPS.map((data) => ({ conditional: predict(data, at) }));
      before = { at, predictions };
      const step = { ...sampler.evaluations[0]!, stepCount: 60, guidanceScale: 1 };
      return method.combineNoise!(predictions, {
        ...step,
        latentModelInput: at.latentModelInput,
        memory,
      }).conditional;
    });
    for (const { latentModelInput: { data } } of path) {
      last = data.reduce((sum, value) => sum + value / SIZE, 0);
    }
    return last;
  });
}

Deno.test("superdiff-or draws from one density or the other, where the mean of the noises draws between them", () => {
  const ends = endsOf("superdiff-or");
  const [right, left] = [3, -3].map((mean) => ends.filter((end) => Math.abs(end - mean) < 0.6));
  assert.equal(right!.length + left!.length, ends.length, `${ends}`);
  assert.ok(right!.length >= 6 && left!.length >= 6, `${ends}`);
  const between = endsOf("noise-average:right=0.5,left=0.5");
  assert.ok(between.every((end) => Math.abs(end) < 2), `${between}`);
  // The likelier expert is chosen, but for a bias that outweighs all that densities say.
  assert.ok(endsOf("superdiff-or:bias=left:100000").every((end) => Math.abs(end + 3) < 0.6));
});

const IDS = [98, 5, 17, 99, 99, 99, 99], NEGATIVE = [98, 99, 99, 99, 99, 99, 99];

/** Two images of a batch, or one of them. */
function requestOf(images: readonly number[]): SampleRequest {
  const experts = [new AffineExpert(), new AffineExpert({ gains: { IN05: 0.99, OUT03: 1.01 } })];
  const latents = randomTensor([2, 4, 8, 8], 3);
  return smallRequest(experts, {
    promptIds: images.map(() => IDS),
    negativePromptIds: images.map(() => NEGATIVE),
  }, {
    method: createMethod("superdiff-or:temperature=0.001", CONTEXT),
    sampler: createSampler("euler_a", { steps: 5, config: DEFAULT_SCHEDULER_CONFIG }),
    initialLatents: concatRows(images.map((image) => sliceRows(latents, image, image + 1))),
    noise: new ImageNoise(images.map(BigInt), [4, 8, 8]),
  });
}

Deno.test("superdiff-or: an image of a batch has the bits that it has alone", async () => {
  const both = await run(requestOf([0, 1]));
  for (const image of [0, 1]) {
    const alone = await run(requestOf([image]));
    assert.ok(bitEqual(alone.data, sliceRows(both, image, image + 1).data), `image ${image}`);
  }
});

Deno.test("superdiff-or: a run goes on from its checkpoint's bytes to the same bits, and not without its memory", async () => {
  const whole = await Array.fromAsync(sample(requestOf([0, 1])));
  const weighed = whole.map(({ methodMemory }) => methodMemory!.log_densities!.data);
  assert.ok(weighed.slice(0, -1).every((data) => data.some((value) => value !== 0)), "it moves");
  for (const { stepIndex, state, methodMemory } of whole) {
    const spec = newJob({ prompt: "", seeds: [0n, 1n], ensemble: "two" }, { steps: 5 });
    const bytes = encodeCheckpoint({
      spec,
      stepIndex,
      state,
      methodMemory: methodMemory!,
      conditions: {},
    });
    const from = decodeCheckpoint(bytes, "c");
    for await (const step of sample({ ...requestOf([0, 1]), from })) {
      assert.ok(bitEqual(step.latents.data, whole[step.stepIndex]!.latents.data), `${stepIndex}`);
    }
  }
  const { stepIndex, state } = whole[1]!;
  const forgotten = sample({ ...requestOf([0, 1]), from: { stepIndex, state } });
  await assert.rejects(forgotten.next(), {
    name: "ShapeError",
    message: /superdiff-or goes on with its log_densities: none is there/,
  });
});
