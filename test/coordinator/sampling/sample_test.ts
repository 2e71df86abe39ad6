import assert from "node:assert/strict";
import { ImageNoise } from "../../../coordinator/sampling/image_noise.ts";
import {
  sample,
  type SampledStep,
  type SampleRequest,
} from "../../../coordinator/sampling/sample.ts";
import { initialState, type Sampler } from "../../../coordinator/sampling/samplers/sampler.ts";
import { createSampler, SAMPLERS } from "../../../coordinator/sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../coordinator/sampling/samplers/scheduler_config.ts";
import { Vae } from "../../../coordinator/sampling/vae.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import type { Expert, SessionConfig } from "../../../shared/engine/expert.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { concatRows, sliceRows } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { assertClose, assertFar, Golden, goldenPath } from "../../support/goldens.ts";
import { Hold } from "../../support/hold.ts";
import { openGoldenEnsemble } from "./golden_ensemble.ts";
import { ddim, methodOf, run, smallRequest } from "./small_run.ts";

const PROMPT = [298, 5, 17, 3, ...new Array(12).fill(299)];
const NEGATIVE = [298, ...new Array(15).fill(299)];

/** One image. */
function request(experts: readonly Expert[], changes: Partial<SampleRequest> = {}): SampleRequest {
  return smallRequest(experts, { promptIds: [PROMPT], negativePromptIds: [NEGATIVE] }, changes);
}

Deno.test("a whole run, 4 DDIM steps with guidance 7.5: latents of each step and the image agree with the reference", async () => {
  await using ensemble = await openGoldenEnsemble();
  const golden = await Golden.read("sd15", "expected", "sample_ddim4_cfg7.5.safetensors");
  const { uncond_input_ids } = JSON.parse(
    await Deno.readTextFile(goldenPath("sd15", "manifest.json")),
  );
  const expected = golden.f32("latents");
  const initialLatents = golden.f32("init");
  const steps = [];
  const run = sample(request(ensemble.experts, {
    method: methodOf(ensemble.experts, await ensemble.openSabw()),
    sampler: ddim(4),
    guidanceScale: 7.5,
    initialLatents,
    promptIds: [golden.numbers("input_ids")],
    negativePromptIds: [uncond_input_ids],
  }));
  for await (const step of run) {
    steps.push(step);
    const after = sliceRows(expected, step.stepIndex + 1, step.stepIndex + 2);
    assertClose(`latents after step ${step.stepIndex}`, step.latents, {
      ...after,
      shape: initialLatents.shape,
    });
  }
  assert.deepEqual(steps.map(({ stepIndex }) => stepIndex), [0, 1, 2, 3]);
  assert.deepEqual(steps.map(({ timestep }) => timestep), golden.numbers("timesteps"));
  await using vae = new Vae(await openVae(goldenPath("sd15", "vae")), {
    device: "cpu",
    threads: 1,
  });
  assertClose("image", await vae.decode(steps[3]!.latents), golden.f32("image"));
});

Deno.test("one expert samples as the plain U-Net does, bit for bit", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a } = ensemble;
  const sampled = request([a], { guidanceScale: 1 });
  const encoding = await a.encodeText({
    dtype: "int64",
    shape: [1, 16],
    data: BigInt64Array.from(PROMPT, BigInt),
  });
  const { sampler } = sampled;
  const session = await a.openSession({
    batch: 1,
    height: 8,
    width: 8,
    encoderHiddenStates: encoding.lastHiddenState,
    timesteps: sampler.evaluations.map(({ timestep }) => timestep),
  });
  let state = initialState(sampler, sampled.initialLatents);
  for (const stepIndex of sampler.evaluations.keys()) {
    const range = { stepIndex, first: "IN00", last: "OUT11", hiddenStates: state.latents };
    const { hiddenStates } = await session.forward(range);
    const prediction = { guided: hiddenStates, conditional: hiddenStates };
    ({ state } = sampler.step(prediction, stepIndex, state, []));
  }
  await session.close();
  assert.ok(bitEqual((await run(sampled)).data, state.latents.data));
});

Deno.test("every knob turns the image", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a, b, experts } = ensemble;
  const sabw = await ensemble.openSabw();
  const base = await run(request(experts));
  const changes: Readonly<Record<string, SampleRequest>> = {
    "the prompt": request(experts, { promptIds: [PROMPT.with(1, 9)] }),
    "the negative prompt": request(experts, { negativePromptIds: [PROMPT.with(1, 9)] }),
    "the guidance": request(experts, { guidanceScale: 2 }),
    "its rescale": request(experts, { guidanceRescale: 0.7 }),
    "its interval": request(experts, { guidanceInterval: { from: 0.5, to: 1 } }),
    "no guidance": request(experts, { guidanceScale: 1 }),
    "the noise": request(experts, { initialLatents: randomTensor([1, 4, 8, 8], 2) }),
    "the steps": request(experts, { sampler: ddim(3) }),
    "the prediction": request(experts, { sampler: ddim(2, { predictionType: "v_prediction" }) }),
    "SABW": request(experts, { method: methodOf(experts, sabw) }),
    "the blocks that are aggregated": request(experts, {
      method: methodOf(experts, undefined, "noise"),
    }),
    "the experts": request([a]),
    "their weights": request([a, b, b]),
  };
  for (const [knob, changed] of Object.entries(changes)) {
    assertFar(knob, await run(changed), base, 1e-3);
  }
  assert.ok(bitEqual((await run(request(experts))).data, base.data), "and nothing else does");
});

Deno.test("a batch gives each image what it would get alone", async () => {
  await using ensemble = await openGoldenEnsemble();
  const noises = [randomTensor([1, 4, 8, 8], 1), randomTensor([1, 4, 8, 8], 2)];
  const prompts = [PROMPT, PROMPT.with(1, 9)];
  const both = await run(request(ensemble.experts, {
    initialLatents: concatRows(noises),
    promptIds: prompts,
    negativePromptIds: [NEGATIVE, NEGATIVE],
  }));
  for (const row of [0, 1]) {
    const alone = await run(request(ensemble.experts, {
      initialLatents: noises[row]!,
      promptIds: [prompts[row]!],
    }));
    assertClose(`image ${row}`, sliceRows(both, row, row + 1), alone, 1e-5);
  }
});

/** An expert that tells which sessions were opened on it. */
function watched(expert: Expert): { readonly expert: Expert; readonly opened: SessionConfig[] } {
  const opened: SessionConfig[] = [];
  return {
    opened,
    expert: {
      description: expert.description,
      encodeText: (ids, signal) => expert.encodeText(ids, signal),
      embedTimesteps: (timesteps, signal) => expert.embedTimesteps(timesteps, signal),
      openSession: (config, signal) => {
        opened.push(config);
        return expert.openSession(config, signal);
      },
      close: () => expert.close(),
    },
  };
}

const AFFINE_PROMPT = [98, 5, 17, 99, 99, 99, 99];
const affineRequest = (experts: readonly Expert[], changes: Partial<SampleRequest> = {}) =>
  request(experts, {
    promptIds: [AFFINE_PROMPT],
    negativePromptIds: [[98, 99, 99, 99, 99, 99, 99]],
    ...changes,
  });

Deno.test("guidance of 1 asks for the conditional half only", async () => {
  for (const [guidanceScale, rows] of [[1, 1], [5, 2], [0, 2]] as const) {
    const { expert, opened } = watched(new AffineExpert());
    await run(affineRequest([expert], { guidanceScale }));
    assert.deepEqual(opened.map(({ batch }) => batch), [rows], `guidance ${guidanceScale}`);
    assert.equal(opened[0]!.encoderHiddenStates.shape[0], rows);
    assert.deepEqual(opened[0]!.timesteps, [501, 1]);
  }
  const { expert } = watched(new AffineExpert());
  const images = await Promise.all(
    [AFFINE_PROMPT, AFFINE_PROMPT.with(1, 50)].map((negative) =>
      run(affineRequest([expert], { guidanceScale: 1, negativePromptIds: [negative] }))
    ),
  );
  assert.ok(bitEqual(images[0]!.data, images[1]!.data), "the negative prompt does not count");
});

Deno.test("each step comes with its estimate of the clean latents", async () => {
  const steps = await Array.fromAsync(sample(affineRequest([new AffineExpert()])));
  assert.deepEqual(steps.map(({ timestep }) => timestep), [501, 1]);
  for (const { latents, denoised } of steps) assert.deepEqual(denoised.shape, latents.shape);
  assertFar("estimates of different steps", steps[0]!.denoised, steps[1]!.denoised, 1e-3);
});

Deno.test("sample() starts from the noise times the sampler's first sigma", async () => {
  const experts = [new AffineExpert()];
  const sampler = ddim(1);
  const scaled = { ...methodsOf(sampler), initNoiseSigma: 3 };
  const plain = affineRequest(experts, { sampler });
  const tripled = { ...plain, initialLatents: lincomb([[3, plain.initialLatents]]) };
  assert.ok(bitEqual((await run({ ...plain, sampler: scaled })).data, (await run(tripled)).data));
});

/** A sampler as a plain object, so that one field can be replaced. */
function methodsOf(sampler: Sampler) {
  return {
    name: sampler.name,
    evaluations: sampler.evaluations,
    scaleModelInput: sampler.scaleModelInput.bind(sampler),
    addNoise: sampler.addNoise.bind(sampler),
    step: sampler.step.bind(sampler),
  };
}

/** Goes on after each step of a run, and holds the rest against it. */
async function assertResumes(start: (from?: SampledStep) => ReturnType<typeof sample>) {
  const steps = await Array.fromAsync(start());
  assert.deepEqual(steps.map(({ stepIndex }) => stepIndex), [0, 1, 2, 3]);
  for (const from of steps) {
    const rest = await Array.fromAsync(start(from));
    assert.deepEqual(
      rest.map(({ stepIndex, timestep }) => [stepIndex, timestep]),
      steps.slice(from.stepIndex + 1).map(({ stepIndex, timestep }) => [stepIndex, timestep]),
    );
    for (const { stepIndex, latents } of rest) {
      assert.ok(bitEqual(latents.data, steps[stepIndex]!.latents.data), `step ${stepIndex}`);
    }
  }
  const [first, second] = steps;
  assert.ok(!bitEqual(first!.latents.data, second!.latents.data), "steps differ");
  assert.ok(steps.every(({ latents }) => latents.data.every(Number.isFinite)), "finite");
}

Deno.test("a run that goes on after any of its steps gives the same bits", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { experts } = ensemble;
  const method = methodOf(experts, await ensemble.openSabw());
  await assertResumes((from) =>
    sample(request(experts, { method, sampler: ddim(4), waves: 2, ...(from && { from }) }))
  );
});

for (const { name } of SAMPLERS) {
  Deno.test(`a run of ${name} that goes on after any of its steps gives the same bits`, async () => {
    const experts = [new AffineExpert(), new AffineExpert({ gains: { IN05: 0.5 } })];
    const sampler = createSampler(name, { steps: 4, config: DEFAULT_SCHEDULER_CONFIG });
    await assertResumes((from) => {
      const noise = new ImageNoise([7n], [4, 8, 8]);
      const initialLatents = noise.next();
      const changes = { sampler, noise, initialLatents, ...(from && { from }) };
      return sample(affineRequest(experts, changes));
    });
  });
}

Deno.test("sample() refuses to go on after a step that is not of the run", async () => {
  const experts = [new AffineExpert()];
  for (const stepIndex of [-1, 2, 0.5]) {
    const from = { stepIndex, state: { latents: randomTensor([1, 4, 8, 8], 1), memory: {} } };
    await assert.rejects(run(affineRequest(experts, { from })), {
      name: "ShapeError",
      message: `A run of 2 steps goes on after one of 0..1: current value is ${stepIndex}`,
    });
  }
  const from = { stepIndex: 0, state: { latents: randomTensor([1, 4, 8, 4], 1), memory: {} } };
  await assert.rejects(run(affineRequest(experts, { from })), {
    name: "ShapeError",
    message: /^latents must be .*\[1, 4, 8, 8\]/,
  });
});

Deno.test("sample() refuses a batch with other counts of prompts", async () => {
  const experts = [new AffineExpert()];
  for (const wrong of [{ promptIds: [] }, { negativePromptIds: [AFFINE_PROMPT, AFFINE_PROMPT] }]) {
    await assert.rejects(run(affineRequest(experts, wrong)), {
      name: "ShapeError",
      message: /^A batch of 1 images needs as many prompts/,
    });
  }
});

Deno.test("an expert that fails in the middle cancels the others and closes every session", async () => {
  const hold = new Hold("M00");
  const patient = new AffineExpert({ beforeBlock: hold.beforeBlock });
  const broken = new AffineExpert({
    gains: { M00: Infinity },
    beforeBlock: (block) => block === "M00" ? hold.reached : Promise.resolve(),
  });
  await assert.rejects(run(affineRequest([patient, broken])), { code: "DATA_LOSS" });
  assert.deepEqual([patient.openSessions, broken.openSessions], [0, 0]);
});

Deno.test("an expert that refuses a session leaves none open on the others", async () => {
  const willing = new AffineExpert();
  const refusing: Expert = {
    ...watched(new AffineExpert()).expert,
    openSession: () => Promise.reject(new TuttiError("RESOURCE_EXHAUSTED", "no more sessions")),
  };
  await assert.rejects(run(affineRequest([willing, refusing])), { code: "RESOURCE_EXHAUSTED" });
  assert.equal(willing.openSessions, 0);
});

Deno.test("a fired signal ends the run as CANCELLED between two blocks, with all sessions closed", async () => {
  const experts = [new AffineExpert(), new AffineExpert()];
  const controller = new AbortController();
  const seen: string[] = [];
  const cancelled = affineRequest(experts, {
    signal: controller.signal,
    onSegment: ({ stepIndex, last }) => {
      seen.push(`${stepIndex} ${last}`);
      if (stepIndex === 1 && last === "IN01") controller.abort();
    },
  });
  await assert.rejects(run(cancelled), { code: "CANCELLED" });
  assert.equal(seen.at(-1), "1 IN01");
  assert.equal(seen.length, 27);
  assert.deepEqual(experts.map(({ openSessions }) => openSessions), [0, 0]);
});

Deno.test("a caller that stops listening closes every session", async () => {
  const experts = [new AffineExpert(), new AffineExpert()];
  for await (const { stepIndex } of sample(affineRequest(experts))) {
    assert.equal(stepIndex, 0);
    assert.deepEqual(experts.map(({ openSessions }) => openSessions), [1, 1]);
    break;
  }
  assert.deepEqual(experts.map(({ openSessions }) => openSessions), [0, 0]);
});
