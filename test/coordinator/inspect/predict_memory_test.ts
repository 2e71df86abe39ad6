import assert from "node:assert/strict";
import { describeFit } from "../../../coordinator/doctor/ensemble_memory.ts";
import { parseFree } from "../../../coordinator/doctor/free_memory.ts";
import { predictMemory, usualRun } from "../../../coordinator/inspect/predict_memory.ts";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { FAMILIES } from "../../../shared/models/families.ts";
import { readKeyTable } from "../../shared/models/key_tables.ts";
import type { WeightTable } from "../../../shared/models/weights.ts";
import { goldenPath } from "../../support/goldens.ts";

/** SD1.5 as published, without a byte of it. */
async function published() {
  const table = async (name: string): Promise<WeightTable> =>
    new Map(
      (await readKeyTable(name)).map(({ diffusersKey, shape }) => [
        diffusersKey,
        { dtype: "float16", shape, path: "", offset: 0, length: 0 } as const,
      ]),
    );
  const { unet, text } = FAMILIES.sd15.configs;
  return {
    unet: { config: unet, weights: await table("sd15_unet") },
    text: { config: text, weights: await table("clip_l_text") },
  };
}

Deno.test("predictMemory() of SD1.5 is near what its worker was measured to hold", async () => {
  const model = await published();
  const at = (pixels: number, precision: "f32" | "f16" = "f32") =>
    predictMemory(model, { width: pixels, height: pixels, rows: 2, precision });
  const near = (actual: number, measured: number) =>
    assert.ok(Math.abs(actual / measured - 1) < 0.1, `${actual} is not near ${measured}`);
  assert.deepEqual(usualRun(model), { width: 512, height: 512, rows: 2, precision: "f32" });
  // `tutti bench load --size 512 --batch 2` of a file of that size.
  near(at(512).drawBytes, 3.97e9);
  near(at(512).peakBytes, 4.41e9);
  near(at(64).drawBytes, 3.6e9);
  assert.ok(at(512).drawBytes > at(256).drawBytes);
  const [full, half] = [at(512), at(512, "f16")];
  assert.ok(half.drawBytes < 0.55 * full.drawBytes && half.drawBytes > full.drawBytes / 2);
});

Deno.test("predictMemory() of a small model without text encoder is mostly the process", async () => {
  const { unet } = await openCheckpoint(goldenPath("sd15", "expert-a"));
  const { drawBytes, peakBytes } = predictMemory({ unet }, usualRun({ unet }));
  assert.ok(100e6 < drawBytes && drawBytes <= peakBytes && peakBytes < 200e6);
});

Deno.test("describeFit() holds needs against what is free, with a cure", () => {
  const needs = [
    { name: "photo", drawBytes: 4e9, peakBytes: 4.7e9 },
    { name: "anime", drawBytes: 4e9, peakBytes: 4.7e9 },
  ];
  const fits = describeFit("cpu", needs, 10e9);
  assert.deepEqual(fits, {
    name: "memory cpu",
    verdict: "ok",
    value: "photo 4.0 GB, anime 4.0 GB: 8.0 GB to draw, 9.4 GB while they load; 10.0 GB free",
  });
  const tight = describeFit("cpu", needs, 9e9);
  assert.equal(tight.verdict, "absent");
  assert.match(tight.nextStep!, /one after another with "tutti up"/);
  const short = describeFit("cuda:1", needs, 7e9);
  assert.equal(short.verdict, "failed");
  assert.match(short.nextStep!, /--precision f16 takes half.*let another machine serve an expert/);
  assert.match(describeFit("webgpu", needs, undefined).value, /what is free is not known$/);
});

Deno.test("parseFree() reads what nvidia-smi lists, in MiB", () => {
  const listing = "0, 22528\n1, 512\n";
  assert.equal(parseFree(listing, 1), 512 * 2 ** 20);
  assert.equal(parseFree(listing, 2), undefined);
  assert.equal(parseFree("", 0), undefined);
});
