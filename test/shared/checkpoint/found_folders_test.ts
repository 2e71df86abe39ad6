/** Folders as downloads, caches and exports leave them. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeConfigs, writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { readPartWeights } from "../../../shared/checkpoint/weight_files.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { exitCode, FormatError } from "../../../shared/errors.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { findTokenizer } from "../../../shared/tokenizer/find_tokenizer.ts";
import { goldenPath } from "../../support/goldens.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { torchFile } from "../../support/torch_file.ts";
import { readAll } from "./rewrite.ts";

const EXPERT = goldenPath("sd15", "expert-a");

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    if (isDirectory) await copyTree(source, target);
    else await Deno.copyFile(source, target);
  }
}

async function expertCopy(temp: TempFolder, name = "model"): Promise<string> {
  const path = temp.join(name);
  await copyTree(EXPERT, path);
  return path;
}

const VARIANTS = ["", ".fp16", ".bf16", ".fp32", ".non_ema", ".ema"];

Deno.test("a part's weights are found under every name that diffusers and transformers write", async () => {
  const singles = VARIANTS.flatMap((variant) => [
    `diffusion_pytorch_model${variant}.safetensors`,
    `model${variant}.safetensors`,
    `diffusion_pytorch_model${variant}.bin`,
    `pytorch_model${variant}.bin`,
  ]);
  for (const name of singles) {
    await using folder = await tempFolder();
    if (name.endsWith(".bin")) await Deno.writeFile(folder.join(name), torchFile({ a: f32([2]) }));
    else await writeSafetensors(folder.join(name), { a: f32([2]) });
    assert.deepEqual([...(await readPartWeights(folder.path)).keys()], ["a"], name);
  }
});

Deno.test("shards with a variant are found by their index in both spellings, pickled ones, too", async () => {
  for (
    const [index, shard] of [
      ["model.safetensors.index.json", "model-00001-of-00002.safetensors"],
      ["model.fp16.safetensors.index.json", "model.fp16-00001-of-00002.safetensors"],
      ["model.safetensors.index.fp16.json", "model.fp16-00001-of-00002.safetensors"],
      ["diffusion_pytorch_model.bin.index.json", "diffusion_pytorch_model-00001-of-00002.bin"],
    ] as const
  ) {
    await using folder = await tempFolder();
    const other = shard.replace("00001-", "00002-");
    for (const [file, key] of [[shard, "a"], [other, "b"]] as const) {
      if (file.endsWith(".bin")) {
        await Deno.writeFile(folder.join(file), torchFile({ [key]: f32([1]) }));
      } else await writeSafetensors(folder.join(file), { [key]: f32([1]) });
    }
    const json = JSON.stringify({ weight_map: { a: shard, b: other } });
    await Deno.writeTextFile(folder.join(index), `\ufeff${json}`);
    assert.deepEqual([...(await readPartWeights(folder.path)).keys()], ["a", "b"], index);
  }
});

Deno.test("a running average is taken only where there is nothing else", async () => {
  await using folder = await tempFolder();
  await writeSafetensors(folder.join("diffusion_pytorch_model.ema.safetensors"), { ema: f32([1]) });
  assert.deepEqual([...(await readPartWeights(folder.path)).keys()], ["ema"]);
  await writeSafetensors(folder.join("diffusion_pytorch_model.non_ema.safetensors"), {
    own: f32([1]),
  });
  assert.deepEqual([...(await readPartWeights(folder.path)).keys()], ["own"]);
});

Deno.test("a repository in Hugging Face's cache is the snapshot of its main branch, with VAE and tokenizer", async () => {
  await using temp = await tempFolder();
  const repository = temp.join("models--someone--dreamy");
  const snapshot = join(repository, "snapshots", "bbbb");
  await copyTree(EXPERT, snapshot);
  await copyTree(goldenPath("sd15", "vae"), join(snapshot, "vae"));
  await Deno.mkdir(join(snapshot, "tokenizer"));
  for (const name of ["vocab.json", "merges.txt"]) {
    await Deno.writeTextFile(join(snapshot, "tokenizer", name), "");
  }
  // One with a file alone, as other tools leave it, and the branch's name.
  await Deno.mkdir(join(repository, "snapshots", "aaaa"));
  await Deno.writeTextFile(join(repository, "snapshots", "aaaa", "README.md"), "");
  await Deno.mkdir(join(repository, "refs"));
  await Deno.writeTextFile(join(repository, "refs", "main"), "bbbb");
  const { unet, name } = await openCheckpoint(repository);
  assert.equal(name, "models--someone--dreamy");
  const plain = await openCheckpoint(EXPERT);
  assert.deepEqual([...unet.weights.keys()], [...plain.unet.weights.keys()]);
  assert.ok((await openVae(repository)).weights.size > 200);
  const found = await findTokenizer({ models: [repository] });
  assert.equal(found.path, join(snapshot, "tokenizer"));

  await Deno.remove(snapshot, { recursive: true });
  await assert.rejects(openCheckpoint(repository), {
    name: "FormatError",
    message: /must have a snapshot with the folder "unet": .*snapshots hold aaaa\/README\.md$/,
  });
});

Deno.test("the folder of a U-Net is a model without text encoder", async () => {
  await using temp = await tempFolder();
  const model = await expertCopy(temp);
  await Deno.mkdir(join(model, "scheduler"));
  const scheduler = JSON.stringify({ prediction_type: "v_prediction" });
  await Deno.writeTextFile(join(model, "scheduler", "scheduler_config.json"), scheduler);
  const { unet, text, predictionType } = await openCheckpoint(join(model, "unet"));
  assert.equal(text, undefined);
  assert.equal(predictionType, "v_prediction");
  assert.deepEqual(unet.config, (await openCheckpoint(EXPERT)).unet.config);
});

Deno.test("configs with a byte order mark, or end tokens in a list, are read", async () => {
  await using temp = await tempFolder();
  const model = await expertCopy(temp);
  for (const part of ["unet", "text_encoder"]) {
    const file = join(model, part, "config.json");
    const json = JSON.parse(await Deno.readTextFile(file));
    if (part === "text_encoder") json.eos_token_id = [299, 2];
    await Deno.writeTextFile(file, `\ufeff${JSON.stringify(json)}`);
  }
  const { text } = await openCheckpoint(model);
  assert.equal(text!.config.eosTokenId, 299);
});

Deno.test("a config that is a git-lfs pointer or a web page says so", async () => {
  await using temp = await tempFolder();
  const model = await expertCopy(temp);
  const file = join(model, "unet", "config.json");
  await Deno.writeTextFile(file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  await assert.rejects(
    openCheckpoint(model),
    /is not JSON: this is a git-lfs pointer.*git lfs pull/,
  );
  await Deno.writeTextFile(file, "<!doctype html><html></html>");
  await assert.rejects(openCheckpoint(model), /is not JSON: this is a web page/);
});

Deno.test("what the training of a VAE left below its prefix is no part of it", async () => {
  await using temp = await tempFolder();
  const [file, path] = [goldenPath("sd15", "expert-a.safetensors"), temp.join("vae.safetensors")];
  const leftovers = ["loss.logvar", "loss.discriminator.main.0.weight", "model_ema.decay"];
  await writeSafetensors(path, {
    ...await readAll(file),
    ...Object.fromEntries(leftovers.map((key) => [`first_stage_model.${key}`, f32([1])])),
  });
  const config = goldenPath("sd15", "vae");
  const [actual, expected] = [await openVae(path, config), await openVae(file, config)];
  assert.deepEqual([...actual.weights.keys()].sort(), [...expected.weights.keys()].sort());
});

Deno.test("SDXL without one of its text encoders is refused with the encoder's name, exit code 4", async () => {
  await using temp = await tempFolder();
  const parts = modelParts(modelConfigs("sdxl", { scale: 0.03, depth: 1 }));
  const config = temp.join("config");
  await writeConfigs(config, parts);
  for (
    const [folder, missing] of [["text_encoder_2", "second"], ["text_encoder", "first"]] as const
  ) {
    const model = temp.join(`${missing}.safetensors`);
    const rest = parts.filter((part) => part.folder !== folder);
    await writeRandomCheckpoint({
      ...{ path: model, family: "sdxl", layout: "single", parts: rest, dtype: "float16", seed: 1n },
    });
    const opening = openLocalExpert({
      model,
      configFrom: config,
      device: "cpu",
      lanes: 1,
      threads: 1,
    });
    await assert.rejects(opening, (error) => {
      assert.ok(error instanceof FormatError);
      assert.equal(exitCode(error), 4);
      assert.match(
        error.message,
        new RegExp(`must have both .* SDXL: the ${missing} one is missing`),
      );
      return true;
    });
  }
});
