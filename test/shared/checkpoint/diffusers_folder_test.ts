import assert from "node:assert/strict";
import { basename, dirname } from "node:path";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openUNetFolder, openVaeFolder } from "../../../shared/checkpoint/diffusers_folder.ts";
import { readPartWeights } from "../../../shared/checkpoint/weight_files.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { assertClose, Golden, goldenPath } from "../../support/goldens.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { bytesByKey, readAll, renamed, rewrite } from "./rewrite.ts";

const EXPERT = goldenPath("sd15", "expert-a");
const UNET_FILE = "unet/diffusion_pytorch_model.safetensors";
const TEXT_FILE = "text_encoder/model.safetensors";

/** A copy of expert a's configs, without weights. */
async function copyConfigs(folder: TempFolder): Promise<void> {
  for (const part of ["unet", "text_encoder"]) {
    await Deno.mkdir(folder.join(part), { recursive: true });
    await Deno.copyFile(`${EXPERT}/${part}/config.json`, folder.join(part, "config.json"));
  }
}

/** What the whole U-Net computes from reference inputs agrees with the reference noise. */
async function assertRuns(model: string): Promise<void> {
  const golden = await Golden.read("sd15", "expected", "unet.safetensors");
  const [x, ctx] = [golden.f32("x"), golden.f32("ctx")];
  const [batch = 0, , height = 0, width = 0] = x.shape;
  const timesteps = golden.numbers("timestep");
  const expert = await openLocalExpert({ model, device: "cpu", lanes: 1, threads: 1 });
  try {
    const config = { batch, height, width, encoderHiddenStates: ctx, timesteps };
    const session = await expert.openSession(config);
    const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates: x };
    assertClose("eps", (await session.forward(range)).hiddenStates, golden.f32("eps"));
  } finally {
    await expert.close();
  }
}

Deno.test("weights behind symbolic links, as Hugging Face's cache has them, run on ONNX Runtime", async () => {
  await using folder = await tempFolder();
  await copyConfigs(folder);
  await Deno.mkdir(folder.join("blobs"));
  for (const [file, blob] of [[UNET_FILE, "3f9a"], [TEXT_FILE, "77c1"]] as const) {
    await Deno.copyFile(`${EXPERT}/${file}`, folder.join("blobs", blob));
    await Deno.symlink(`../blobs/${blob}`, folder.join(file));
  }
  const { unet } = await openCheckpoint(folder.path);
  const [location] = unet.weights.values();
  assert.equal(location!.path, folder.join("blobs", "3f9a"));
  await assertRuns(folder.path);
});

Deno.test("a part in shards is read by its index and runs on ONNX Runtime", async () => {
  await using folder = await tempFolder();
  await copyConfigs(folder);
  await Deno.copyFile(`${EXPERT}/${TEXT_FILE}`, folder.join(TEXT_FILE));
  const tensors = await readAll(`${EXPERT}/${UNET_FILE}`);
  const keys = Object.keys(tensors);
  const shardOf = (key: string) =>
    `diffusion_pytorch_model-0000${keys.indexOf(key) % 2 + 1}-of-00002.safetensors`;
  for (const shard of new Set(keys.map(shardOf))) {
    const part = renamed(tensors, (key) => shardOf(key) === shard ? key : undefined);
    await writeSafetensors(folder.join("unet", shard), part);
  }
  const index = folder.join("unet", "diffusion_pytorch_model.safetensors.index.json");
  const weight_map = Object.fromEntries(keys.map((key) => [key, shardOf(key)]));
  await Deno.writeTextFile(index, JSON.stringify({ metadata: {}, weight_map }));
  const { weights } = await openUNetFolder(folder.join("unet"));
  assert.equal(weights.size, keys.length);
  assert.equal(new Set([...weights.values()].map(({ path }) => basename(path))).size, 2);
  await assertRuns(folder.path);
});

Deno.test("an index that is damaged, leaves its folder, or splits a part wrongly is refused", async () => {
  await using folder = await tempFolder();
  const index = folder.join("model.safetensors.index.json");
  const refused = async (content: string, message: RegExp) => {
    await Deno.writeTextFile(index, content);
    await assert.rejects(readPartWeights(folder.path), { name: "FormatError", message });
  };
  await refused("{", /must list a "weight_map"/);
  await refused("{}", /must list a "weight_map"/);
  await refused(
    '{"weight_map": {"a": "../secret.safetensors"}}',
    /must name files of its own folder/,
  );
  await refused('{"weight_map": {"a": "..\\\\secret.safetensors"}}', /files of its own folder/);
  await refused('{"weight_map": {"a": ".."}}', /must be a file/);
  await refused('{"weight_map": {"a": 7}}', /"[^"]*\/7" must exist/);
  await refused('{"weight_map": {"a": "1.safetensors"}}', /1\.safetensors" must exist/);
  await writeSafetensors(folder.join("1.safetensors"), { a: f32([1]) });
  await writeSafetensors(folder.join("2.safetensors"), { a: f32([1]), b: f32([1]) });
  await refused(
    '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}',
    /must name every tensor once: "a" is in "2\.safetensors" and in another file/,
  );
});

Deno.test("a part's folder: safetensors before pickles, f32 before f16, and a list where there is neither", async () => {
  await using folder = await tempFolder();
  await assert.rejects(readPartWeights(folder.path), {
    name: "FormatError",
    message: /must hold one of diffusion_pytorch_model\.safetensors, .*: current files are none$/,
  });
  await assert.rejects(readPartWeights(folder.join("absent")), /Cannot open folder/);

  await Deno.writeFile(folder.join("pytorch_model.bin"), new Uint8Array([0x80, 2, 0x8a, 10, 0, 0]));
  await assert.rejects(readPartWeights(folder.path), { name: "FormatError", message: /pickle/i });
  await writeSafetensors(folder.join("model.fp16.safetensors"), { half: f32([1]) });
  assert.deepEqual([...(await readPartWeights(folder.path)).keys()], ["half"]);
  await writeSafetensors(folder.join("model.safetensors"), { single: f32([1]) });
  assert.deepEqual([...(await readPartWeights(folder.path)).keys()], ["single"]);
});

Deno.test("a VAE in the names of old diffusers exports is read as today's", async () => {
  await using folder = await tempFolder();
  const source = goldenPath("sd15", "vae");
  await Deno.copyFile(`${source}/config.json`, folder.join("config.json"));
  const file = "diffusion_pytorch_model.safetensors";
  const names = [["to_q", "query"], ["to_k", "key"], ["to_v", "value"], ["to_out.0", "proj_attn"]];
  let changed = 0;
  await rewrite(`${source}/${file}`, folder.join(file), (key) => {
    const pair = names.find(([today]) => key.includes(`attentions.0.${today}.`));
    if (pair) changed++;
    return pair ? key.replace(pair[0]!, pair[1]!) : key;
  });
  assert.equal(changed, 16, "weights and biases of four projections, in encoder and decoder");
  const [old, today] = [await openVaeFolder(folder.path), await openVaeFolder(source)];
  assert.deepEqual(await bytesByKey(old.weights), await bytesByKey(today.weights));
});

Deno.test("a text encoder without the text_model level, with position_ids, is read as today's", async () => {
  await using folder = await tempFolder();
  await copyConfigs(folder);
  await Deno.copyFile(`${EXPERT}/${UNET_FILE}`, folder.join(UNET_FILE));
  const tensors = renamed(
    await readAll(`${EXPERT}/${TEXT_FILE}`),
    (key) => key.replace("text_model.", ""),
  );
  await writeSafetensors(folder.join(TEXT_FILE), {
    ...tensors,
    "embeddings.position_ids": f32([1, 16]),
  });
  const expert = await openLocalExpert({ model: folder.path, device: "cpu", lanes: 1, threads: 1 });
  try {
    const golden = await Golden.read("sd15", "expected", "text.safetensors");
    const { lastHiddenState } = await expert.encodeText(golden.tensor("input_ids") as never);
    assertClose("last hidden state", lastHiddenState, golden.f32("last_hidden_state.a"));
  } finally {
    await expert.close();
  }
});

Deno.test("scheduler/ says what the U-Net predicts; without it, the noise", async () => {
  await using folder = await tempFolder();
  await copyConfigs(folder);
  for (const file of [UNET_FILE, TEXT_FILE]) {
    await Deno.copyFile(`${EXPERT}/${file}`, folder.join(file));
  }
  assert.equal((await openCheckpoint(folder.path)).predictionType, "epsilon");
  const config = folder.join("scheduler", "scheduler_config.json");
  await Deno.mkdir(dirname(config));
  await Deno.writeTextFile(config, '{"prediction_type": "v_prediction"}');
  const { predictionType, ownSchedule } = await openCheckpoint(folder.path);
  assert.deepEqual([predictionType, ownSchedule!.config.betaEnd], ["v_prediction", 0.012]);
  await Deno.writeTextFile(config, '{"prediction_type": "sample"}');
  await assert.rejects(openCheckpoint(folder.path), /"prediction_type" must be one of "epsilon"/);
});

Deno.test("a folder without U-Net, or with a damaged config, is refused by the file's name", async () => {
  await using folder = await tempFolder();
  await assert.rejects(openCheckpoint(folder.path), {
    name: "FormatError",
    message: /^Cannot read config ".*unet\/config\.json"/,
  });
  await copyConfigs(folder);
  await Deno.writeTextFile(folder.join("unet", "config.json"), "not json");
  await assert.rejects(openCheckpoint(folder.path), /unet\/config\.json" is not JSON/);
});
