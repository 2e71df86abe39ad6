import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { inspectModel, type PartReport } from "../../../coordinator/inspect/inspect_model.ts";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeConfigs, writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, i64 } from "../../../shared/tensor/tensor.ts";
import { goldenPath } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { readAll, renamed, type Tensors } from "../../shared/checkpoint/rewrite.ts";

const FOLDER = goldenPath("sd15", "expert-a");
const FILE = goldenPath("sd15", "expert-a.safetensors");

const names = (parts: readonly PartReport[]) => parts.map(({ part }) => part);
const sha256 = async (path: string) =>
  createHash("sha256").update(await Deno.readFile(path)).digest("hex");

/** The reference file with other tensors. */
async function withTensors(path: string, change: (tensors: Tensors) => Tensors): Promise<void> {
  await writeSafetensors(path, change(await readAll(FILE)));
}

Deno.test("inspectModel() of a single file: parts, hash, files, nothing missing or left over", async () => {
  await using temp = await tempFolder();
  const parts = modelParts(modelConfigs("sd15", { scale: 0.03 }));
  const [path, configFrom] = [temp.join("m.safetensors"), temp.join("config")];
  await writeConfigs(configFrom, parts);
  const options = { path, family: "sd15", parts, layout: "single", seed: 1n } as const;
  await writeRandomCheckpoint({ ...options, dtype: "bfloat16" });
  const report = await inspectModel(path, { configFrom });
  assert.equal(report.family, "sd15");
  assert.equal(report.layout, "single file");
  assert.equal(report.predictionType, "epsilon");
  assert.deepEqual(names(report.parts), ["U-Net", "text encoder", "VAE"]);
  for (const { dtypes, parameters, sizeBytes, problem } of report.parts) {
    assert.deepEqual(dtypes, ["bfloat16"]);
    assert.equal(sizeBytes, 2 * parameters);
    assert.equal(problem, undefined);
  }
  assert.deepEqual(report.missing, []);
  assert.deepEqual(report.leftOver, { emaCopies: 0, emaBytes: 0, others: [] });
  assert.equal(report.modelHash, await sha256(path));
  assert.deepEqual(report.files, [
    { path, sizeBytes: (await Deno.stat(path)).size, sha256: report.modelHash },
  ]);
});

Deno.test("inspectModel() of a folder of an SDXL model: two text encoders, one file per part", async () => {
  await using temp = await tempFolder();
  const parts = modelParts(modelConfigs("sdxl", { scale: 0.03, depth: 1 }));
  const path = temp.join("m");
  await writeRandomCheckpoint({
    ...{ path, family: "sdxl", parts, layout: "diffusers", seed: 1n, dtype: "float16" } as const,
  });
  const report = await inspectModel(path);
  assert.deepEqual([report.family, report.layout], ["sdxl", "diffusers folder"]);
  assert.deepEqual(names(report.parts), ["U-Net", "text encoder", "text encoder 2", "VAE"]);
  assert.ok(report.parts.every(({ problem }) => problem === undefined));
  assert.equal(report.files.length, 4);
  assert.equal(report.blocks.length, 19);
  assert.equal(report.sampleSize, 128);
});

Deno.test("inspectModel() of a folder says what is missing, and reads the prediction type", async () => {
  await using temp = await tempFolder();
  for (const folder of ["unet", "scheduler"]) await Deno.mkdir(temp.join(folder));
  for (const file of ["config.json", "diffusion_pytorch_model.safetensors"]) {
    await Deno.copyFile(`${FOLDER}/unet/${file}`, temp.join("unet", file));
  }
  const scheduler = temp.join("scheduler", "scheduler_config.json");
  await Deno.writeTextFile(scheduler, JSON.stringify({ prediction_type: "v_prediction" }));
  const report = await inspectModel(temp.path);
  assert.deepEqual(report.missing, ["text encoder", "VAE"]);
  assert.equal(report.predictionType, "v_prediction");
  assert.equal(report.ownSchedule!.source, "scheduler_config.json");
  assert.equal(
    (await inspectModel(goldenPath("sdxl"))).missing.join(),
    "text encoder,text encoder 2,VAE",
  );
});

Deno.test("inspectModel() tells EMA copies and other tensors that no part uses", async () => {
  await using temp = await tempFolder();
  const path = temp.join("packed.safetensors");
  const text = "cond_stage_model.transformer.text_model.embeddings";
  await withTensors(path, (tensors) => ({
    ...tensors,
    "model_ema.diffusion_modelinput_blocks00weight": f32([10, 2]),
    "model_ema.decay": f32([1]),
    "betas": f32([1000]),
    [`${text}.position_ids`]: i64([1, 2], [0, 1]),
  }));
  const report = await inspectModel(path, { configFrom: FOLDER });
  assert.deepEqual(report.leftOver, { emaCopies: 2, emaBytes: 84, others: ["betas"] });
  // The VAE's config is not in the folder: that is another part's problem.
  const [unet, encoder] = report.parts;
  assert.deepEqual([unet!.problem, encoder!.problem], [undefined, undefined]);
  assert.deepEqual(encoder!.dtypes, ["float32"], "whole numbers that nothing reads do not count");
});

Deno.test("inspectModel() of a file without VAE or text encoder", async () => {
  await using temp = await tempFolder();
  const path = temp.join("unet.safetensors");
  const onlyUNet = (key: string) => key.startsWith("model.diffusion_model.") ? key : undefined;
  await withTensors(path, (tensors) => renamed(tensors, onlyUNet));
  const report = await inspectModel(path, { configFrom: FOLDER });
  assert.deepEqual(names(report.parts), ["U-Net"]);
  assert.deepEqual(report.missing, ["text encoder", "VAE"]);
});

Deno.test("inspectModel() names the keys that keep a part from running", async () => {
  await using temp = await tempFolder();
  const path = temp.join("odd.safetensors");
  const lost = "model.diffusion_model.input_blocks.1.0.in_layers.2.bias";
  await withTensors(path, (tensors) => ({
    ...renamed(tensors, (key) => key === lost ? undefined : key),
    "model.diffusion_model.adapter.weight": f32([3]),
  }));
  const { parts: [unet] } = await inspectModel(path, { configFrom: FOLDER });
  assert.equal(
    unet!.problem,
    "U-Net does not fit its config: 1 missing (down_blocks.0.resnets.0.conv1.bias [16]); " +
      "1 unused (model.diffusion_model.adapter.weight)",
  );
});

Deno.test("inspectModel() tells of files before it hashes them", async () => {
  const told: [string, number][] = [];
  await inspectModel(FOLDER, { onHash: (name, size) => told.push([name, size]) });
  const file = `${FOLDER}/unet/diffusion_pytorch_model.safetensors`;
  assert.deepEqual(told[0], ["diffusion_pytorch_model.safetensors", (await Deno.stat(file)).size]);
  assert.equal(told.length, 2);
});
