import assert from "node:assert/strict";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { openLocalExpert } from "../../../shared/engine/local_expert.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32, type F32Tensor, i64, makeTensor } from "../../../shared/tensor/tensor.ts";
import { goldenPath } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { type Saved, torchFile } from "../../support/torch_file.ts";
import { bytesByKey, readAll, renamed, rewrite, type Tensors } from "./rewrite.ts";

const FOLDER = goldenPath("sd15", "expert-a");
const VAE_FOLDER = goldenPath("sd15", "vae");
const FILE = goldenPath("sd15", "expert-a.safetensors");

const openTiny = (model: string) =>
  openLocalExpert({ model, device: "cpu", lanes: 1, threads: 1, configFrom: FOLDER });

/** Same keys, shapes (a 1x1 convolution counts as its matrix) and bytes. */
async function assertSameWeights(
  actual: Awaited<ReturnType<typeof openVae>>["weights"],
  expected: Awaited<ReturnType<typeof openVae>>["weights"],
): Promise<void> {
  const [a, b] = [await bytesByKey(actual), await bytesByKey(expected)];
  assert.deepEqual([...a.keys()], [...b.keys()]);
  for (const [key, bytes] of b) {
    assert.ok(bitEqual(a.get(key)!, bytes), `bytes of ${key}`);
    const squeezed = actual.get(key)!.shape.join().replace(/^(\d+,\d+),1,1$/, "$1");
    const wanted = expected.get(key)!.shape.join().replace(/^(\d+,\d+),1,1$/, "$1");
    assert.equal(squeezed, wanted, `shape of ${key}`);
  }
}

Deno.test("a single file holds the folder's model, tensor for tensor, bit for bit", async () => {
  const single = await openCheckpoint(FILE, { configFrom: FOLDER });
  const folder = await openCheckpoint(FOLDER);
  await assertSameWeights(single.unet.weights, folder.unet.weights);
  await assertSameWeights(single.text!.weights, folder.text!.weights);
  assert.deepEqual(single.unet.config, folder.unet.config);
  assert.deepEqual(single.text!.config, folder.text!.config);
  assert.deepEqual([single.name, folder.name], ["expert-a", "expert-a"]);
  assert.deepEqual([single.family, folder.family], ["sd15", "sd15"]);
});

Deno.test("a single file's VAE is the folder's, bit for bit", async () => {
  const [single, folder] = [await openVae(FILE, VAE_FOLDER), await openVae(VAE_FOLDER)];
  assert.ok(folder.weights.size > 200);
  await assertSameWeights(single.weights, folder.weights);
  assert.deepEqual(single.config, folder.config);
});

Deno.test("a file with a VAE alone may have its keys under any prefix and in either spelling", async () => {
  await using temp = await tempFolder();
  const folder = await openVae(VAE_FOLDER);
  const [community, diffusers] = [FILE, `${VAE_FOLDER}/diffusion_pytorch_model.safetensors`];
  const below = (key: string) =>
    key.startsWith("first_stage_model.") ? key.slice("first_stage_model.".length) : undefined;
  const under = (prefix: string) => (key: string) => {
    const name = below(key);
    return name === undefined ? undefined : prefix + name;
  };
  for (
    const [name, source, rename] of [
      ["bare", community, below],
      ["vae prefix", community, under("vae.")],
      ["diffusers names", diffusers, (key: string) => key],
      ["old diffusers names", diffusers, oldVaeKey],
    ] as const
  ) {
    const path = temp.join(`${name}.safetensors`);
    await rewrite(source, path, rename);
    const { weights } = await openVae(path, VAE_FOLDER);
    await assertSameWeights(weights, folder.weights);
  }
});

/** Today's diffusers name -> that of old exports. */
function oldVaeKey(key: string): string {
  const names = { to_q: "query", to_k: "key", to_v: "value", "to_out.0": "proj_attn" };
  for (const [today, old] of Object.entries(names)) {
    if (key.includes(`attentions.0.${today}.`)) return key.replace(`.${today}.`, `.${old}.`);
  }
  return key;
}

Deno.test("openVae() refuses what holds no VAE", async () => {
  await using temp = await tempFolder();
  const path = temp.join("unet.safetensors");
  await rewrite(FILE, path, (key) => key.startsWith("model.") ? key : undefined);
  await assert.rejects(openVae(path, VAE_FOLDER), {
    name: "FormatError",
    message: new RegExp(`^File "${path}" must hold a VAE`),
  });
  await assert.rejects(openVae(temp.join("absent")), { name: "FormatError" });
  await assert.rejects(openVae(temp.path), /Cannot read config/);
});

Deno.test("EMA copies, schedule buffers and other parts of a single file are left alone", async () => {
  await using temp = await tempFolder();
  const tensors = await readAll(FILE);
  const ema = renamed(
    tensors,
    (key) =>
      key.startsWith("model.diffusion_model.")
        ? `model_ema.${key.slice("model.".length).replaceAll(".", "")}`
        : undefined,
  );
  assert.ok(Object.keys(ema).includes("model_ema.diffusion_modelinput_blocks00weight"));
  const zeros = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, f32([3])]));
  const path = temp.join("with-ema.safetensors");
  await writeSafetensors(path, {
    ...tensors,
    // Zeros: had they been read in place of the weights, everything would change.
    ...Object.fromEntries(Object.entries(ema).map(([key, { shape }]) => [key, f32(shape)])),
    ...zeros(["model_ema.decay", "betas", "alphas_cumprod", "posterior_variance"]),
    ...zeros(["cond_stage_model.transformer.text_model.embeddings.position_ids"]),
  });
  const expert = await openTiny(path);
  await expert.close();
  const [opened, plain] = [
    await openCheckpoint(path, { configFrom: FOLDER }),
    await openCheckpoint(FILE, { configFrom: FOLDER }),
  ];
  await assertSameWeights(opened.unet.weights, plain.unet.weights);
});

Deno.test("a text encoder without the text_model level is read all the same", async () => {
  await using temp = await tempFolder();
  const path = temp.join("old.safetensors");
  await rewrite(
    FILE,
    path,
    (key) =>
      key.replace("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer."),
  );
  const [old, plain] = [
    await openCheckpoint(path, { configFrom: FOLDER }),
    await openCheckpoint(FILE, { configFrom: FOLDER }),
  ];
  await assertSameWeights(old.text!.weights, plain.text!.weights);
});

Deno.test("an expert is refused with all keys that are missing, unused or mis-shaped", async () => {
  await using temp = await tempFolder();
  const tensors = await readAll(FILE);
  const unet = "model.diffusion_model.";
  const path = temp.join("damaged.safetensors");
  const { [`${unet}out.2.bias`]: _, ...rest } = tensors;
  await writeSafetensors(path, {
    ...rest,
    [`${unet}time_embed.0.bias`]: f32([7]),
    [`${unet}input_blocks.1.1.adapter.weight`]: f32([2]),
  });
  await assert.rejects(openTiny(path), {
    name: "FormatError",
    message:
      `U-Net of "${path}" does not fit its config: 1 missing (conv_out.bias [4]); 1 mis-shaped ` +
      "(time_embedding.linear_1.bias must be [64]: current shape is [7]); " +
      "1 unused (down_blocks.0.attentions.0.adapter.weight)",
  });
});

Deno.test("a single file may hold the U-Net alone; asked for text, it says that it has no encoder", async () => {
  await using temp = await tempFolder();
  const path = temp.join("unet-only.safetensors");
  await rewrite(FILE, path, (key) => key.startsWith("model.") ? key : undefined);
  const expert = await openTiny(path);
  try {
    await assert.rejects(expert.encodeText(i64([1, 16], new Array(16).fill(299))), {
      code: "FAILED_PRECONDITION",
      message: /must have a text encoder: its file holds the U-Net alone/,
    });
  } finally {
    await expert.close();
  }
});

Deno.test("two tensors that would get one name are refused", async () => {
  await using temp = await tempFolder();
  const path = temp.join("twice.safetensors");
  await writeSafetensors(path, {
    ...await readAll(FILE),
    "cond_stage_model.transformer.final_layer_norm.bias": f32([24]),
  });
  await assert.rejects(openTiny(path), {
    name: "FormatError",
    message:
      /has two tensors for "text_model\.final_layer_norm\.bias": one of them is "cond_stage_/,
  });
});

Deno.test("without a config, a single file is taken for SD1.5 and refused if it is of other sizes", async () => {
  await assert.rejects(openLocalExpert({ model: FILE, device: "cpu", lanes: 1, threads: 1 }), {
    name: "FormatError",
    message:
      /mis-shaped \(.*time_embedding\.linear_1\.weight must be \[1280,320\]: current shape is \[64,16\]/,
  });
});

Deno.test("a checkpoint that torch.save() wrote is the safetensors file's model, bit for bit", async () => {
  await using temp = await tempFolder();
  const path = temp.join("expert-a.ckpt");
  const tensors = await readAll(FILE);
  await Deno.writeFile(path, torchFile({ state_dict: transposedLayers(tensors) }));
  const inputIds = i64([1, 16], Array.from({ length: 16 }, (_, i) => i === 9 ? 299 : i));
  const states: F32Tensor[] = [];
  for (const model of [FILE, path]) {
    const expert = await openTiny(model);
    try {
      assert.equal(expert.description.name, "expert-a");
      const temb = await expert.embedTimesteps([500]);
      states.push((await expert.encodeText(inputIds)).lastHiddenState, temb);
    } finally {
      await expert.close();
    }
  }
  assert.deepEqual(states.slice(2), states.slice(0, 2));
  const { unet } = await openCheckpoint(path, { configFrom: FOLDER });
  const plain = await openCheckpoint(FILE, { configFrom: FOLDER });
  const [actual, expected] = [await bytesByKey(unet.weights), await bytesByKey(plain.unet.weights)];
  const inOrder = [...unet.weights].flatMap(([key, { strides }]) => strides ? [] : [key]);
  assert.ok(inOrder.length > 100 && inOrder.length < unet.weights.size);
  for (const key of inOrder) assert.ok(bitEqual(actual.get(key)!, expected.get(key)!), key);
});

/** The same values, with every second matrix stored by columns, as `weight.t()` leaves it. */
function transposedLayers(tensors: Tensors): Record<string, Saved> {
  return Object.fromEntries(
    Object.entries(tensors).map(([key, tensor], i) => {
      const { dtype, shape, data } = tensor;
      if (shape.length !== 2 || i % 2 === 1) return [key, tensor];
      const [rows, columns] = shape as [number, number];
      const byColumns = data.slice();
      data.forEach((value, at) => {
        byColumns[(at % columns) * rows + Math.floor(at / columns)] = value;
      });
      const storage = makeTensor(dtype, [columns, rows], byColumns);
      return [key, { storage, shape, strides: [1, rows] }];
    }),
  );
}

Deno.test("openCheckpoint() refuses a path that is not there", async () => {
  await using temp = await tempFolder();
  await assert.rejects(openCheckpoint(temp.join("absent.safetensors")), {
    name: "FormatError",
    message: /^Cannot open model ".*absent\.safetensors": /,
  });
});
