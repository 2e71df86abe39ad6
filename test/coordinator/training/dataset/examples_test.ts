import assert from "node:assert/strict";
import { encodePng } from "../../../../coordinator/image/png.ts";
import {
  areSamplesUsable,
  prepareExamples,
  sampleLatents,
} from "../../../../coordinator/training/dataset/examples.ts";
import {
  cropImage,
  drawCrop,
  shorterSide,
} from "../../../../coordinator/training/dataset/image_file.ts";
import { TensorCache } from "../../../../coordinator/training/dataset/tensor_cache.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { ClipTokenizer } from "../../../../shared/tokenizer/clip_tokenizer.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { zooPath } from "../../../support/zoo.ts";

/** Left half black, right half white. */
function twoHalves(width: number, height: number) {
  const rgb = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => Math.floor(i / 3) % width < width / 2 ? 0 : 255,
  );
  return { width, height, rgb };
}

Deno.test("shorterSide() makes the shorter side the size, and cuts the longer one to whole pixels", () => {
  assert.deepEqual(shorterSide({ width: 100, height: 75 }, 64), { width: 85, height: 64 });
  assert.deepEqual(shorterSide({ width: 30, height: 50 }, 64), { width: 64, height: 106 });
  assert.deepEqual(shorterSide({ width: 64, height: 64 }, 64), { width: 64, height: 64 });
});

Deno.test("cropImage() cuts where it is told, in [-1, 1], channels first", () => {
  const image = twoHalves(8, 4);
  const left = cropImage(image, { size: 4, top: 0, left: 0 });
  const right = cropImage(image, { size: 4, top: 0, left: 4 });
  assert.deepEqual(left.shape, [1, 3, 4, 4]);
  assert.ok(left.data.every((value) => value === -1) && right.data.every((value) => value === 1));
  assert.throws(() => cropImage(image, { size: 4, top: 1, left: 0 }), { name: "FormatError" });
});

Deno.test("drawCrop() lies in the image, is fixed by seed and file, and differs between them", () => {
  const image = twoHalves(100, 10);
  const crops = Array.from({ length: 50 }, (_, i) => drawCrop(image, 10, 1n, `hash ${i}`));
  assert.ok(crops.every(({ top, left }) => top === 0 && left >= 0 && left <= 90));
  assert.ok(new Set(crops.map(({ left }) => left)).size > 20);
  assert.deepEqual(drawCrop(image, 10, 1n, "hash 0"), crops[0]);
  assert.ok(crops.some((crop, i) => drawCrop(image, 10, 2n, `hash ${i}`).left !== crop.left));
});

Deno.test("prepareExamples() skips what it cannot read with the reason, cuts long texts, and encodes once", async () => {
  await using temp = await tempFolder();
  const file = (name: string) => temp.join(name);
  await Deno.writeFile(file("good.png"), encodePng({ ...twoHalves(16, 8), text: {} }));
  await Deno.writeFile(file("photo.jpg"), Uint8Array.of(0xff, 0xd8, 0xff, 0xe0));
  await Deno.writeFile(file("cut.png"), (await Deno.readFile(file("good.png"))).slice(0, 40));
  let encoded = 0;
  const config = {
    ...{ inChannels: 3, outChannels: 3, latentChannels: 1, blockOutChannels: [8] },
    ...{ layersPerBlock: 1, normNumGroups: 8, scalingFactor: 1 },
  };
  const vae = {
    config,
    encode: (image: F32Tensor) => {
      encoded++;
      const brightness = image.data.reduce((sum, value) => sum + value, 0) / image.data.length;
      return Promise.resolve({ mean: f32([1, 1], [brightness]), logvar: f32([1, 1], [-1]) });
    },
  };
  const options = {
    ...{ vae, vaeHash: "vae", maxLength: 24, size: 8, seed: 1n },
    tokenizer: await ClipTokenizer.load(zooPath("tokenizer")),
    cache: new TensorCache(file("cache")),
  };
  // Small, until its shorter side is as long as it has to be.
  await Deno.writeFile(file("narrow.png"), encodePng({ ...twoHalves(1_500_000, 1), text: {} }));
  const names = ["cut.png", "good.png", "missing.png", "narrow.png", "photo.jpg", "."];
  const records = names.map((name) => ({
    imagePath: file(name),
    text: "a red circle ".repeat(20),
  }));
  const first = await prepareExamples(records, options);
  assert.deepEqual(first.examples.map(({ imagePath }) => imagePath), [file("good.png")]);
  assert.equal(first.examples[0]!.inputIds.length, 24);
  assert.equal(first.cutTexts, 1);
  assert.deepEqual(
    first.skipped.map(({ path }) => path),
    names.filter((name) => name !== "good.png").map(file),
  );
  const reasons = first.skipped.map(({ reason }) => reason);
  assert.match(reasons[0]!, /^PNG /);
  assert.equal(reasons[1], "it does not exist");
  assert.match(reasons[2]!, /^Image must have at most 67108864 pixels with its shorter side/);
  assert.match(reasons[3]!, /^JPEG image cannot be read: /);

  const again = await prepareExamples(records, options);
  const latents = await again.examples[0]!.latents();
  assert.equal(encoded, 1);
  assert.equal(again.hash, first.hash);
  assert.notEqual((await prepareExamples(records, { ...options, vaeHash: "b" })).hash, first.hash);
  assert.deepEqual(latents.logvar, f32([1, 1], [-1]));
  const regrouped = { ...vae, config: { ...config, normNumGroups: 4 } };
  await prepareExamples(records, { ...options, vae: regrouped });
  assert.equal(encoded, 3, "the weights' hash says nothing of the configuration");

  // Damage in the cache costs time, nothing else.
  for await (const { name } of Deno.readDir(file("cache"))) {
    for await (const { name: entry } of Deno.readDir(file(`cache/${name}`))) {
      await Deno.truncate(file(`cache/${name}/${entry}`), 20);
    }
  }
  assert.deepEqual(await again.examples[0]!.latents(), latents);
  assert.equal(encoded, 4);

  await assert.rejects(prepareExamples(records.slice(2), options), {
    name: "FormatError",
    message: /must have an image that can be read: skipped 4, .*missing\.png.*does not exist/,
  });
});

Deno.test("sampleLatents() is mean plus deviation times noise, scaled, with the log variance bounded", () => {
  const distribution = {
    mean: f32([1, 3], [1, 2, 3]),
    logvar: f32([1, 3], [0, Math.log(4), -1000]),
  };
  const { data } = sampleLatents(distribution, f32([1, 3], [1, -1, 1e6]), 0.5);
  const expected = [1, 0, 0.5 * (3 + 1e6 * Math.exp(-15))];
  data.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 1e-6, `${value}`));
});

Deno.test("samples of a VAE are usable where their noise is small beside the means' differences", async () => {
  const examples = (logvar: number) =>
    [-2, 0, 2].map((mean) => ({
      ...{ imagePath: "", text: "", inputIds: [] },
      latents: () => Promise.resolve({ mean: f32([1, 1], [mean]), logvar: f32([1, 1], [logvar]) }),
    }));
  // The means' variance is 8/3.
  assert.equal(await areSamplesUsable(examples(-15)), true);
  assert.equal(await areSamplesUsable(examples(Math.log(0.12))), true);
  assert.equal(await areSamplesUsable(examples(Math.log(0.15))), false);
  assert.equal(await areSamplesUsable(examples(0)), false);
});
