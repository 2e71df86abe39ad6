import assert from "node:assert/strict";
import { createMethod, METHODS } from "../../../../coordinator/sampling/methods/methods.ts";
import type { MethodContext } from "../../../../coordinator/sampling/methods/definition.ts";
import type { MethodStep } from "../../../../coordinator/sampling/methods/method.ts";
import { sample, type SampledStep } from "../../../../coordinator/sampling/sample.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { assertClose, assertFar } from "../../../support/goldens.ts";
import { openGoldenEnsemble } from "../golden_ensemble.ts";
import { ddim, run, SMALL_PICTURE, smallRequest } from "../small_run.ts";

const { blocks } = new AffineExpert().description;
const CONTEXT: MethodContext = {
  experts: ["photo", "anime"],
  blocks,
  guidanceScale: 5,
  sampler: { name: "ddim" },
  picture: SMALL_PICTURE,
};
const create = (text: string, changes: Partial<MethodContext> = {}) =>
  createMethod(text, { ...CONTEXT, ...changes });

/** A run of four evaluations, as far as methods look at one. */
const STEPS: readonly MethodStep[] = [801, 601, 401, 201].map((timestep, stepIndex) => ({
  timestep,
  sigma: [10, 3, 1, 0.3][stepIndex]!,
  stepIndex,
  noiseCount: 0,
  stepCount: 4,
}));
const expertsOf = (text: string) => STEPS.map((step) => create(text).plan(step).experts);

Deno.test("a method says which experts it asks and which blocks it aggregates", () => {
  const segments = (text: string) => create(text).plan(STEPS[0]!).segments.length;
  assert.deepEqual([segments("average"), segments("noise-average")], [25, 1]);
  assert.deepEqual(expertsOf("average")[3], [0, 1]);
  const apart = { featuresDiffer: "blocks differ", aggregated: "noise" } as const;
  assert.equal(create("average", apart).plan(STEPS[0]!).segments.length, 1);
  assert.equal(
    create("average", { aggregated: ["IN05", "M00"] }).plan(STEPS[0]!).segments.length,
    3,
  );
});

Deno.test("switch: by share of the steps, by sigma and by timestep, evenly without options", () => {
  assert.deepEqual(expertsOf("switch"), [[0], [0], [1], [1]]);
  assert.deepEqual(expertsOf("switch:anime=0,photo=0.75"), [[1], [1], [1], [0]]);
  assert.deepEqual(expertsOf("switch:by=sigma,photo=2,anime=0"), [[0], [0], [1], [1]]);
  assert.deepEqual(expertsOf("switch:by=timestep,photo=801,anime=0"), [[0], [1], [1], [1]]);
});

Deno.test("magicfusion: both experts where it fuses, the general one alone elsewhere", () => {
  assert.deepEqual(expertsOf("magicfusion"), [[0, 1], [0, 1], [0, 1], [0, 1]]);
  assert.deepEqual(expertsOf("magicfusion:after=601,general=anime"), [[1], [0, 1], [0, 1], [0, 1]]);
  assert.deepEqual(expertsOf("magicfusion:before=601"), [[0, 1], [0], [0], [0]]);
});

Deno.test("createMethod() refuses what it does not know or cannot play, with the next step", () => {
  const cases: readonly (readonly [string, RegExp, Partial<MethodContext>?])[] = [
    [
      "magicfusoin",
      /must be one of afa, .*current value is "magicfusoin".*magicfusion"/,
    ],
    ["afa", /needs trained aggregators \(SABW\): name their folder, or take average/],
    ["one-hot", /must name one expert, as one-hot:photo: experts are photo, anime/],
    ["one-hot:foto", /names the expert "foto".*experts are photo, anime/],
    ["average:photo=1", /has no option "photo": it takes none/],
    ["magicfusion:uncond=mine", /"uncond" of method magicfusion must be one of own, general/],
    ["magicfusion:photo=x", /"photo" of method magicfusion must be a number/],
    ["magicfusion", /needs a guidance scale other than 1/, { guidanceScale: 1 }],
    ["weights", /needs a weight for each expert, as weights:photo=0.50,anime=0.50/],
    ["weights:photo=0.7,anime=0.4", /must sum to 1: current sum is 1.1/],
    ["weights:photo=0.7/0.5,anime=0.3/0.5", /one for each block is a list of 25/],
    ["weights:photo=0>1,anime=1>0", /noise-average may change them/],
    ["noise-average:photo=x", /weight of expert "photo" must be a number/],
    ["noise-average:photo=0>1,anime=1>0.1", /current sum is 1.1/],
    [
      "autoguidance:strong=photo,weak=photo",
      /needs two experts, as autoguidance:strong=photo,weak=anime/,
    ],
    ["only", /must name one expert, as only:photo/],
    ["magicfusion", /decides itself which blocks/, { aggregated: ["IN05"] }],
    ["switch:photo=0.5,anime=0", /rising values: current values are photo=0.5,anime=0/],
    ["switch:by=sigma", /must say where experts play, as photo=0/],
    ["switch:photo=0,photo=1", /each key once/],
    ["switch:", /NAME, NAME:VALUE or NAME:key=value/],
    ["regions", /needs a region for an expert, as regions:photo=0\/0\/0.5\/1,anime=0.5\/0\/1\/1/],
    ["regions:photo=0/0/1", /boxes as left\/top\/right\/bottom .*or a PNG file: .*"0\/0\/1"/],
    ["regions:photo=0.5/0/0.5/1", /region of expert "photo" must be boxes/],
    ["regions:photo=0/0/1.5/1", /in shares of the picture/],
    ["regions:photo=mask.jpg", /or a PNG file: current value is "mask.jpg"/],
    ["regions:photo=0/0/0.01/1", /must cover a latent pixel at least, of 8x8/],
    ["regions:photo=mask.png", /Mask "mask.png" cannot go with a job/],
    ["regions:photo=0/0/1/1,feather=2", /"feather" of method regions must be a number in 0..1/],
    ["regions:photo=0/0/1/1,rest=foto", /names the expert "foto"/],
    [
      "superdiff-or",
      /eta 1.*samplers for it are ddim with --eta 1, ddpm, euler_a, dpmpp_2m_sde,.*current sampler is ddim$/,
    ],
    ["superdiff-or", /sampler is Euler a with eta 0.5/, { sampler: { name: "Euler a", eta: 0.5 } }],
    ["superdiff-or", /current sampler is lcm/, { sampler: { name: "lcm" } }],
    [
      "superdiff-or:temperature=-1",
      /"temperature" of method superdiff-or must be a number in 0/,
      { sampler: { name: "DPM++ 2M SDE Karras" } },
    ],
    ["average", /Method average mixes the experts' features.*blocks differ.*noise-average/, {
      featuresDiffer: "blocks differ",
    }],
    ["afa", /Method afa mixes the experts' features/, { featuresDiffer: "blocks differ" }],
  ];
  for (const [text, message, changes] of cases) {
    assert.throws(() => create(text, changes), { name: "UsageError", message }, text);
  }
});

Deno.test("names and aliases are all different", () => {
  const names = METHODS.flatMap(({ name, aliases }) => [name, ...aliases]);
  assert.equal(new Set(names).size, names.length);
});

const PROMPT = [298, 5, 17, 3, ...new Array(12).fill(299)];
const NEGATIVE = [298, ...new Array(15).fill(299)];

Deno.test("equivalences: one-hot, one part of a switch and a fusion of twins are the expert; waves change nothing", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a, b, experts } = ensemble;
  const prompts = { promptIds: [PROMPT], negativePromptIds: [NEGATIVE] };
  const play = (text: string, of = experts, waves = 1) => {
    const names = of.map((_, i) => `expert-${i}`);
    const context = { ...CONTEXT, experts: names, blocks: a.description.blocks };
    return run(smallRequest(of, prompts, { method: createMethod(text, context), waves }));
  };
  const [alone, other] = [await play("average", [a]), await play("average", [b])];
  const whole = [
    "one-hot:expert-0",
    "only:expert-0",
    "weights:expert-0=1",
    "noise-average:expert-0=1,expert-1=0",
    "switch:expert-0=0",
    "switch:expert-0=0,expert-1=1",
    "autoguidance:w=0",
  ];
  for (const text of whole) {
    assert.ok(bitEqual((await play(text)).data, alone.data), text);
  }
  for (
    const text of ["one-hot:expert-1", "only:expert-1", "weights:expert-1=1", "switch:expert-1=0"]
  ) {
    assert.ok(bitEqual((await play(text)).data, other.data), text);
  }
  const first = await play("weights:expert-0=1,expert-1=0,expert-2=0", [a, b, b]);
  assert.ok(bitEqual(first.data, alone.data), "the first of three");
  for (const text of ["noise-average", "magicfusion", "autoguidance"]) {
    assertClose(`${text} of twins`, await play(text, [a, a]), alone, 1e-6);
  }
  const mixtures = [
    "switch",
    "interleave",
    "magicfusion",
    "noise-average",
    "noise-average:expert-0=1>0,expert-1=0>1",
    "weights:expert-0=0.6,expert-1=0.4",
    "autoguidance",
  ];
  for (const text of mixtures) {
    const mixed = await play(text);
    assertFar(`${text} and one expert`, mixed, alone, 1e-3);
    assertFar(`${text} and the other`, mixed, other, 1e-3);
    // The halves of guidance travel apart, and meet before they are combined.
    assertClose(`${text} in two waves`, await play(text, experts, 2), mixed, 1e-6);
  }
});

Deno.test("an expert that a run does not ask gets neither prompt nor session", async () => {
  const asked = new AffineExpert(), idle = new AffineExpert();
  const calls: string[] = [];
  idle.encodeText = () => Promise.reject(calls.push("encodeText"));
  idle.openSession = () => Promise.reject(calls.push("openSession"));
  const words = {
    promptIds: [[98, 5, 99, 99, 99, 99, 99]],
    negativePromptIds: [[98, 99, 99, 99, 99, 99, 99]],
  };
  await run(smallRequest([asked, idle], words, { method: create("switch:photo=0") }));
  assert.deepEqual(calls, []);
  assert.equal(asked.openSessions, 0);
});

Deno.test("noise-average with weights that change: the first step is the first expert's, the last one the other's", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a, experts } = ensemble;
  const prompts = { promptIds: [PROMPT], negativePromptIds: [NEGATIVE] };
  const play = (text: string, from?: SampledStep) => {
    const names = ["expert-0", "expert-1"];
    const method = create(text, { experts: names, blocks: a.description.blocks });
    const changes = { method, sampler: ddim(3) };
    return Array.fromAsync(
      sample(smallRequest(experts, prompts, { ...changes, ...(from && { from }) })),
    );
  };
  const [first, second, last] = await play("noise-average:expert-0=1>0,expert-1=0>1");
  const [firstAlone, secondAlone] = await play("only:expert-0");
  assert.ok(bitEqual(first!.latents.data, firstAlone!.latents.data));
  assertFar("the second step", second!.latents, secondAlone!.latents, 1e-3);
  const [lastAlone] = await play("only:expert-1", second);
  assert.ok(bitEqual(last!.latents.data, lastAlone!.latents.data));
});
