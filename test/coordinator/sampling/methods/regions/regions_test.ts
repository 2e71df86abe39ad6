import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { encodePng } from "../../../../../coordinator/image/png.ts";
import type {
  MethodContext,
  PictureSize,
} from "../../../../../coordinator/sampling/methods/definition.ts";
import { createMethod, methodFiles } from "../../../../../coordinator/sampling/methods/methods.ts";
import { type Masks, readMasks } from "../../../../../coordinator/sampling/methods/regions/mask.ts";
import {
  boxCoverage,
  regionWeights,
} from "../../../../../coordinator/sampling/methods/regions/region_weights.ts";
import { weighRegions } from "../../../../../coordinator/sampling/methods/regions/regions.ts";
import { bitEqual } from "../../../../../shared/tensor/compare.ts";
import type { F32Tensor } from "../../../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../../../support/affine_expert.ts";
import { randomTensor } from "../../../../support/expert_inputs.ts";
import { assertFar } from "../../../../support/goldens.ts";
import { tempFolder } from "../../../../support/temp_folder.ts";
import { run, SMALL_PICTURE, smallRequest } from "../../small_run.ts";

const CONTEXT: MethodContext = {
  experts: ["photo", "anime"],
  blocks: new AffineExpert().description.blocks,
  guidanceScale: 5,
  sampler: { name: "ddim" },
  picture: SMALL_PICTURE,
};

/** As a picture of 96 x 64 pixels has them. */
const WIDE: PictureSize = { width: 96, height: 64, latentWidth: 12, latentHeight: 8 };

const predictions = [1, 2].map((seed) => ({
  conditional: randomTensor([2, 4, 8, 12], seed),
  unconditional: randomTensor([2, 4, 8, 12], seed + 10),
}));

/** What a method makes of the two, in a picture of that size. */
function combine(text: string, masks?: Masks) {
  const method = createMethod(text, { ...CONTEXT, picture: WIDE, masks });
  const { experts } = method.plan({} as never);
  return method.combineNoise!(experts.map((i) => predictions[i]!), {} as never);
}

const HALVES = ["conditional", "unconditional"] as const;

function assertBits(actual: F32Tensor, valueAt: (i: number) => number, text: string): void {
  assert.ok(bitEqual(actual.data, actual.data.map((_, i) => valueAt(i))), text);
}

Deno.test("two halves without feather are the pixels of the one and of the other expert", () => {
  const left = (i: number) => i % 12 < 6;
  const upper = (i: number) => i % (8 * 12) < 4 * 12;
  const cases: readonly (readonly [string, (i: number) => boolean])[] = [
    ["regions:photo=0/0/0.5/1,anime=0.5/0/1/1", left],
    ["regions:anime=0.5/0/1/1,rest=photo", left],
    ["regions:photo=0/0/1/0.5,rest=anime", upper],
    ["regions:photo=0/0/0.5/0.5+0/0.5/0.5/1,rest=anime", left],
  ];
  for (const [text, isPhoto] of cases) {
    const combined = combine(text);
    for (const half of HALVES) {
      const [photo, anime] = predictions.map((each) => each[half].data) as [
        Float32Array,
        Float32Array,
      ];
      assertBits(combined[half]!, (i) => isPhoto(i) ? photo[i]! : anime[i]!, text);
    }
  }
});

Deno.test("one region over all of the picture is that expert to the bit, and the others are not asked", async () => {
  const experts = [new AffineExpert(), new AffineExpert({ gains: { IN05: 0.5, OUT03: 1.5 } })];
  const prompts = {
    promptIds: [[98, 5, 17, 99, 99, 99, 99]],
    negativePromptIds: [[98, 99, 99, 99, 99, 99, 99]],
  };
  const play = (text: string) =>
    run(smallRequest(experts, prompts, { method: createMethod(text, CONTEXT) }));
  const alone = await play("only:anime");
  for (const text of ["regions:anime=0/0/1/1", "regions:anime=0/0/1/1,feather=0.3,rest=photo"]) {
    assert.ok(bitEqual((await play(text)).data, alone.data), text);
    assert.deepEqual(createMethod(text, CONTEXT).plan({} as never).experts, [1]);
  }
  assertFar("half of it", await play("regions:anime=0/0/0.5/1,rest=photo"), alone, 1e-3);
});

/** Of each expert at each latent pixel of the wide picture. */
function weightsOf(boxes: readonly (readonly number[])[], rest?: number, feather = 0) {
  const coverage = boxes.map(([left, top, right, bottom]) =>
    left === undefined
      ? new Float64Array(8 * 12)
      : boxCoverage([{ left, top: top!, right: right!, bottom: bottom! }], WIDE)
  );
  return regionWeights(coverage, WIDE, { rest, feather });
}

Deno.test("weights sum to 1 wherever regions overlap, leave room, or have soft edges", () => {
  const overlapping = [[0, 0, 0.7, 1], [0.3, 0.2, 1, 0.8], []];
  for (const rest of [undefined, 2]) {
    for (const feather of [0, 0.2, 0.5, 1]) {
      const weights = weightsOf(overlapping, rest, feather);
      for (let pixel = 0; pixel < 8 * 12; pixel++) {
        const sum = weights.reduce((total, own) => total + own[pixel]!, 0);
        assert.ok(Math.abs(sum - 1) < 1e-12, `pixel ${pixel}: ${sum}`);
        assert.ok(weights.every((own) => own[pixel]! >= 0));
      }
    }
  }
  const at = (weights: readonly Float64Array[], x: number, y: number) =>
    weights.map((own) => own[y * 12 + x]!);
  assert.deepEqual(at(weightsOf(overlapping), 6, 4), [0.5, 0.5, 0], "those that overlap share");
  assert.deepEqual(at(weightsOf(overlapping), 11, 0), [1 / 3, 1 / 3, 1 / 3], "a gap is everyone's");
  assert.deepEqual(at(weightsOf(overlapping, 2), 11, 0), [0, 0, 1], "or the rest's");
});

Deno.test("a soft edge is a smooth step of its width, and the picture's own edges stay hard", () => {
  // Half of the shorter side of 8: the raised cosine has 1/4, 1/2, 1/4.
  const [left, right] = weightsOf([[0, 0, 0.5, 1], [0.5, 0, 1, 1]], undefined, 0.5) as [
    Float64Array,
    Float64Array,
  ];
  const expected = [1, 1, 1, 1, 1, 0.75, 0.25, 0, 0, 0, 0, 0];
  for (let y = 0; y < 8; y++) {
    for (let x = 0; x < 12; x++) {
      assert.ok(Math.abs(left[y * 12 + x]! - expected[x]!) < 1e-12, `${x}`);
      assert.ok(Math.abs(right[y * 12 + x]! - (1 - expected[x]!)) < 1e-12, `${x}`);
    }
  }
  const [wide] = weightsOf([[0, 0, 0.5, 1], [0.5, 0, 1, 1]], undefined, 1) as [Float64Array];
  const steps = [...wide.subarray(0, 11)].map((weight, x) => weight - wide[x + 1]!);
  assert.ok(steps.every((step) => step > -1e-12), "it falls");
  assert.ok(Math.max(...steps) < 0.3, "smoothly");
});

const grey = (width: number, height: number, valueAt: (x: number, y: number) => number) =>
  encodePng({
    width,
    height,
    rgb: Uint8Array.from(
      { length: width * height * 3 },
      (_, i) => valueAt(Math.floor(i / 3) % width, Math.floor(i / 3 / width)),
    ),
    text: {},
  });

Deno.test("a mask is white where its expert plays, in any size of the picture's proportions, and named by its hash", async () => {
  await using folder = await tempFolder();
  const path = folder.join("left.PNG");
  const bytes = grey(24, 16, (x) => x < 12 ? 255 : 0);
  await Deno.writeFile(path, bytes);
  const text = `regions:photo=${path},rest=anime`;
  assert.deepEqual(methodFiles(text), [path]);
  assert.deepEqual(methodFiles("regions:photo=0/0/1/1"), []);
  const masks = await readMasks(methodFiles(text));
  const boxed = combine("regions:photo=0/0/0.5/1,rest=anime");
  for (const half of HALVES) {
    assert.ok(bitEqual(combine(text, masks)[half]!.data, boxed[half]!.data), half);
  }
  const { conditions } = createMethod(text, { ...CONTEXT, picture: WIDE, masks });
  assert.equal(conditions["mask.photo"], createHash("sha256").update(bytes).digest("hex"));

  await Deno.writeFile(path, grey(15, 10, () => 255));
  const all = combine(`regions:photo=${path},rest=anime`, await readMasks([path]));
  assert.ok(bitEqual(all.conditional.data, predictions[0]!.conditional.data), "white is all");

  await Deno.writeFile(path, grey(12, 8, () => 51));
  const even = combine(text, await readMasks([path]));
  const shares = [Math.fround(0.2), 1 - Math.fround(0.2)];
  const fifth = weighRegions(predictions, shares.map((share) => new Float64Array(96).fill(share)));
  assert.ok(bitEqual(even.conditional.data, fifth.conditional.data), "grey is a share");
});

Deno.test("masks that do not fit, have colours, or are not there are refused", async () => {
  await using folder = await tempFolder();
  const path = folder.join("mask.png");
  const text = `regions:photo=${path}`;
  const build = async () => combine(text, await readMasks([path]));
  await assert.rejects(build, { name: "FormatError", message: /Cannot read mask .*No such file/ });
  await Deno.writeFile(path, new Uint8Array(20));
  await assert.rejects(build, { name: "FormatError", message: /mask\.png": Image must be PNG/ });
  const rgb = new Uint8Array(12 * 8 * 3);
  rgb.set([255, 0, 0], 3 * 13);
  await Deno.writeFile(path, encodePng({ width: 12, height: 8, rgb, text: {} }));
  await assert.rejects(build, { message: /must be grey.* colour at 1,1 is 255\/0\/0/ });
  await Deno.writeFile(path, grey(16, 16, () => 255));
  await assert.rejects(build, {
    name: "UsageError",
    message: /proportions of the picture, 96x64 pixels: current size is 16x16/,
  });
  await Deno.writeFile(path, grey(12, 8, () => 0));
  await assert.rejects(build, { message: /region of expert "photo" must cover a latent pixel/ });
  assert.throws(() => combine(text), {
    name: "UsageError",
    message: /cannot go with a job: jobs of the queue carry no files\. Write the region as boxes/,
  });
});
