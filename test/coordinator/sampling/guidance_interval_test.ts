/** Guidance that is on in a part of the steps, and guidance whose contrast is taken back. @module */

import assert from "node:assert/strict";
import type { SegmentReport } from "../../../coordinator/sampling/ensemble_forward.ts";
import {
  classifierFreeGuidance,
  type GuidanceInterval,
  isEverGuided,
  isGuided,
  rescaleGuidance,
} from "../../../coordinator/sampling/guidance.ts";
import { createMethod } from "../../../coordinator/sampling/methods/methods.ts";
import { sample, type SampleRequest } from "../../../coordinator/sampling/sample.ts";
import type { GuidedPrediction, Sampler } from "../../../coordinator/sampling/samplers/sampler.ts";
import { createSampler } from "../../../coordinator/sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../coordinator/sampling/samplers/scheduler_config.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { assertClose, assertFar } from "../../support/goldens.ts";
import { openGoldenEnsemble } from "./golden_ensemble.ts";
import { ddim, methodOf, run, SMALL_PICTURE, smallRequest } from "./small_run.ts";

const affineIds = (...words: number[]) => [98, ...words, ...new Array(6 - words.length).fill(99)];
const two = () => [new AffineExpert(), new AffineExpert({ gains: { IN05: 0.5 } })];

/** Two images, four steps. */
function request(experts: readonly Expert[], changes: Partial<SampleRequest> = {}): SampleRequest {
  const prompts = {
    promptIds: [affineIds(5, 17), affineIds(9)],
    negativePromptIds: [affineIds(), affineIds(7)],
  };
  return smallRequest(experts, prompts, { sampler: ddim(4), ...changes });
}

Deno.test("isGuided() counts in shares of the steps that are done", () => {
  const guided = (stepCount: number, interval?: GuidanceInterval) =>
    Array.from({ length: stepCount }, (_, stepIndex) => stepIndex)
      .filter((stepIndex) => isGuided({ stepIndex, stepCount }, interval));
  assert.deepEqual(guided(4), [0, 1, 2, 3]);
  assert.deepEqual(guided(4, { from: 0, to: 1 }), [0, 1, 2, 3]);
  assert.deepEqual(guided(10, { from: 0.2, to: 0.7 }), [2, 3, 4, 5, 6]);
  assert.deepEqual(guided(10, { from: 0.29, to: 0.3 }), []);
  assert.deepEqual(guided(4, { from: 0.5, to: 0.5 }), []);
  // Products of these would be a little off: 0.29 * 100 is 28.999999999999996.
  assert.deepEqual(guided(100, { from: 0.29, to: 0.3 }), [29]);
  assert.deepEqual([isEverGuided(4), isEverGuided(4, { from: 0.8, to: 1 })], [true, false]);
});

for (const waves of [1, 2, 3]) {
  Deno.test(`the whole interval is plain guidance to the bit, in ${waves} waves`, async () => {
    const plain = await run(request(two(), { waves }));
    const whole = await run(request(two(), { waves, guidanceInterval: { from: 0, to: 1 } }));
    assert.ok(bitEqual(whole.data, plain.data));
  });

  Deno.test(`an empty interval is guidance 1 to the bit, in ${waves} waves`, async () => {
    const none = { from: 0.3, to: 0.3 };
    const empty = await run(request(two(), { waves, guidanceInterval: none, guidanceRescale: 1 }));
    const plain = await run(request(two(), { waves, guidanceScale: 1 }));
    assert.ok(bitEqual(empty.data, plain.data));
  });
}

Deno.test("real blocks: an empty interval is guidance 1, and a part of the steps is both runs in turn", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { experts } = ensemble;
  const method = methodOf(experts, await ensemble.openSabw());
  const ids = (...words: number[]) => [298, ...words, ...new Array(15 - words.length).fill(299)];
  const of = (changes: Partial<SampleRequest>) =>
    smallRequest(experts, { promptIds: [ids(5, 17)], negativePromptIds: [ids()] }, {
      sampler: ddim(4),
      method,
      ...changes,
    });
  const plain = await run(of({ guidanceScale: 1 }));
  const empty = await run(of({ guidanceInterval: { from: 0, to: 0 } }));
  assert.ok(bitEqual(empty.data, plain.data));

  const [, second] = await Array.fromAsync(sample(of({})));
  const expected = await run(of({ guidanceScale: 1, from: second! }));
  const guidedFirst = await run(of({ guidanceInterval: { from: 0, to: 0.5 } }));
  assertClose("guidance in the first half", guidedFirst, expected, 1e-6);
  assertFar("guidance in the second half", guidedFirst, plain, 1e-3);
  const guidedLast = await run(of({ guidanceInterval: { from: 0.5, to: 1 } }));
  assertFar("guidance in the other half", guidedLast, guidedFirst, 1e-3);
});

Deno.test("steps without guidance ask for the conditional rows alone", async () => {
  for (const waves of [1, 2, 4]) {
    const rows = new Map<number, number[]>();
    const onSegment = ({ stepIndex, last, firstRow, aggregatedFeatures }: SegmentReport) => {
      if (last !== "M00") return;
      const asked = Array.from({ length: aggregatedFeatures!.shape[0]! }, (_, i) => firstRow + i);
      rows.set(stepIndex, [...rows.get(stepIndex) ?? [], ...asked].sort());
    };
    await run(request(two(), { waves, onSegment, guidanceInterval: { from: 0.25, to: 0.75 } }));
    const both = [0, 1, 2, 3], conditional = [2, 3];
    assert.deepEqual([...rows.values()], [conditional, both, both, conditional], `${waves} waves`);
  }
});

Deno.test("a run with an interval that goes on after any of its steps gives the same bits", async () => {
  const sampler = createSampler("heun", { steps: 4, config: DEFAULT_SCHEDULER_CONFIG });
  const of = (from?: SampleRequest["from"]) =>
    request(two(), {
      ...{ sampler, guidanceInterval: { from: 0.25, to: 0.75 }, guidanceRescale: 0.7 },
      ...(from && { from }),
    });
  const steps = await Array.fromAsync(sample(of()));
  for (const from of steps) {
    for await (const { stepIndex, latents } of sample(of(from))) {
      assert.ok(bitEqual(latents.data, steps[stepIndex]!.latents.data), `step ${stepIndex}`);
    }
  }
});

Deno.test("a method that looks at what guidance does has both halves in every step", async () => {
  const experts = two();
  const method = createMethod("magicfusion", {
    experts: ["photo", "anime"],
    blocks: experts[0]!.description.blocks,
    guidanceScale: 5,
    sampler: { name: "ddim" },
    picture: SMALL_PICTURE,
  });
  const first = await run(request(experts, { method, guidanceInterval: { from: 0, to: 0.5 } }));
  const plain = await run(request(experts, { method }));
  assertFar("magicfusion", first, plain, 1e-4);
  const whole = await run(request(experts, { method, guidanceInterval: { from: 0, to: 1 } }));
  assert.ok(bitEqual(whole.data, plain.data));
});

/** A sampler that keeps what it is told. */
function watched(sampler: Sampler): { sampler: Sampler; predictions: GuidedPrediction[] } {
  const predictions: GuidedPrediction[] = [];
  const step: Sampler["step"] = (prediction, ...rest) => {
    predictions.push(prediction);
    return sampler.step(prediction, ...rest);
  };
  return { predictions, sampler: Object.create(sampler, { step: { value: step } }) };
}

Deno.test("guidance rescale is taken of each guided prediction, and 0 changes nothing", async () => {
  const { sampler, predictions } = watched({
    ...ddim(4),
    scaleModelInput: (latents) => latents,
    addNoise: (clean) => clean,
    step: (...args) => ddim(4).step(...args),
  });
  await run(
    request(two(), { sampler, guidanceRescale: 0.7, guidanceInterval: { from: 0, to: 0.5 } }),
  );
  assert.equal(predictions.length, 4);
  for (const [index, { guided, conditional, unconditional }] of predictions.entries()) {
    if (index >= 2) {
      assert.equal(guided, conditional);
      continue;
    }
    const plain = classifierFreeGuidance({ conditional, unconditional: unconditional! }, 5);
    assert.ok(bitEqual(guided.data, rescaleGuidance(plain, conditional, 0.7).data));
    assert.ok(!bitEqual(guided.data, plain.data));
  }
  const zero = await run(request(two(), { guidanceRescale: 0 }));
  assert.ok(bitEqual(zero.data, (await run(request(two()))).data));
});
