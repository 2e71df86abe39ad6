/** Relatives of the models that Tutti runs, and other files of full size: named in one line, or read. */

import assert from "node:assert/strict";
import { type Checkpoint, openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { FormatError } from "../../../shared/errors.ts";
import {
  filteredKeys,
  inDtype,
  type KeyedShapes,
  openClip,
  publishedModels,
  renamedKeys,
  UNET,
} from "../../support/published_models.ts";
import { writeSparse } from "../../support/sparse_file.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { torchFile } from "../../support/torch_file.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

const models = await publishedModels();
const CONV_IN = `${UNET}input_blocks.0.0.weight`;

/** SDXL with at most `depth` transformer blocks in a row, and none in the middle. */
function distilled(depth: number): KeyedShapes {
  return filteredKeys(models.sdxl, (key) => {
    const block = Number(/transformer_blocks\.(\d+)\./.exec(key)?.[1] ?? 0);
    return block < depth && !key.startsWith(`${UNET}middle_block.1.`);
  });
}

const refiner = Object.fromEntries(
  Object.entries(models.sdxlUnet).map(([key, shape]) => [
    key,
    /attn2\.to_[kv]\.weight$/.test(key)
      ? [shape[0]!, 1280]
      : shape.map((dim) => dim === 320 || dim === 640 ? dim * 6 / 5 : dim),
  ]),
);

const channels = (base: KeyedShapes, count: number) => ({ ...base, [CONV_IN]: [320, count, 3, 3] });

const NAMED: readonly (readonly [RegExp, KeyedShapes])[] = [
  [/the SDXL refiner/, {
    ...refiner,
    ...models.vae,
    ...openClip("conditioner.embedders.0.model."),
  }],
  [/SSD-1B/, distilled(4)],
  [/Segmind Vega/, distilled(2)],
  [/a full latent consistency model/, {
    ...models.sd15,
    [`${UNET}time_embed.cond_proj.weight`]: [320, 256],
  }],
  [/an inpainting model \(9 input channels\)/, channels(models.sd15, 9)],
  [/an inpainting model \(9 input channels\)/, channels(models.sdxl, 9)],
  [/an instruct-pix2pix model/, channels(models.sd15, 8)],
  [/an upscaler \(7 input channels\)/, channels(models.sd15, 7)],
  [/a depth-to-image model/, channels(models.sd15, 5)],
  [/a ControlNet/, renamedKeys(models.sd15Unet, (key) => key.replace(UNET, "control_model."))],
  [/a ControlNet/, {
    ...models.sd15DiffusersUnet,
    "controlnet_cond_embedding.conv_in.weight": [16, 3, 3, 3],
  }],
  [/a textual inversion embedding/, { emb_params: [4, 768] }],
  [/a textual inversion embedding/, { clip_l: [4, 768], clip_g: [4, 1280] }],
  [/an upscaler for finished pictures/, { "params_ema.conv_first.weight": [64, 3, 3, 3] }],
  [/an upscaler for finished pictures/, { "model.1.sub.0.RDB1.conv1.0.weight": [32, 64, 3, 3] }],
  [/a VAE alone, which --vae takes/, models.vae],
  [/an AnimateDiff motion module/, {
    "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": [320],
  }],
];

Deno.test("relatives of SD1.5 and SDXL are named in one line, without lists of keys", async () => {
  await using folder = await tempFolder();
  for (const [index, [what, shapes]] of NAMED.entries()) {
    const path = folder.join(`${index}.safetensors`);
    await writeSparse(path, inDtype(shapes));
    await assert.rejects(openCheckpoint(path), (error: Error) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, what);
      assert.match(
        error.message,
        /is not supported: this is .*; Tutti runs SD1\.5 and SDXL U-Nets$/,
      );
      assert.ok(error.message.length < 250 && !error.message.includes("\n"), error.message);
      return true;
    });
  }
});

/** Without the prefix, as files of a VAE alone have it. */
const bareVae = renamedKeys(models.vae, (key) => key.slice("first_stage_model.".length));
const DECODER_IN = "decoder.conv_in.weight";

const VAES: readonly (readonly [RegExp, KeyedShapes])[] = [
  [/the decoder of a VAE alone/, filteredKeys(bareVae, (key) => !key.startsWith("encoder."))],
  [/the encoder of a VAE alone/, filteredKeys(models.vae, (key) => !/\.decoder\./.test(key))],
  [/a VAE of 16 latent channels, as FLUX/, { ...bareVae, [DECODER_IN]: [512, 16, 3, 3] }],
  [/a VAE of videos/, { ...bareVae, [DECODER_IN]: [384, 16, 3, 3, 3] }],
  [/a tiny VAE \(TAESD\)/, {
    "encoder.0.weight": [64, 3, 3, 3],
    "decoder.1.weight": [64, 4, 3, 3],
  }],
  [/a tiny VAE \(TAESD\)/, {
    "encoder.layers.0.weight": [64, 3, 3, 3],
    "decoder.layers.0.weight": [64, 4, 3, 3],
  }],
];

Deno.test("VAEs of other kinds are named, given as a VAE or as a model", async () => {
  await using folder = await tempFolder();
  for (const [index, [what, shapes]] of VAES.entries()) {
    const path = folder.join(`${index}.safetensors`);
    await writeSparse(path, inDtype(shapes));
    for (const open of [openVae, openCheckpoint]) {
      await assert.rejects(open(path), ({ name, message }: Error) => {
        assert.equal(name, "FormatError");
        assert.match(message, what);
        assert.match(message, /is not supported: this is .*; Tutti (takes|runs) [^;]*$/);
        assert.ok(message.length < 250, message);
        return true;
      });
    }
  }
});

Deno.test("a model whose weights are codes is named, with or without what bitsandbytes keeps beside", async () => {
  await using folder = await tempFolder();
  const path = folder.join("nf4.safetensors");
  const matrix = (key: string) => models.sd15Unet[key]?.length === 2;
  const plain = inDtype(models.sd15);
  const coded = Object.entries(plain).map(([key, [, shape]]) =>
    matrix(key) ? [key, ["U8", shape]] : [key, plain[key]]
  );
  await writeSparse(path, Object.fromEntries(coded));
  await assert.rejects(openCheckpoint(path), {
    name: "FormatError",
    message:
      /this is a model whose weights are codes .*NF4.*; get it in fp8, f16 or bf16; Tutti runs/,
  });
});

Deno.test("a textual inversion in torch's format is named, too", async () => {
  await using folder = await tempFolder();
  const path = folder.join("style.pt");
  const saved = {
    string_to_token: { "*": 265 },
    string_to_param: { "*": f32([2, 8]) },
    name: "style",
  };
  await Deno.writeFile(path, torchFile(saved));
  await assert.rejects(openCheckpoint(path), /this is a textual inversion embedding/);
});

const emaName = (key: string) =>
  key.startsWith(UNET) ? `model_ema.${key.slice("model.".length).replaceAll(".", "")}` : key;

const READ: Readonly<Record<string, KeyedShapes>> = {
  "state_dict.": renamedKeys(models.sd15, (key) => `state_dict.${key}`),
  "state_dict. beside an optimizer": {
    ...renamedKeys(models.sd15, (key) => `state_dict.${key}`),
    "optimizer_states.0.exp_avg": [320],
  },
  "module.": renamedKeys(models.sd15, (key) => `module.${key}`),
  "EMA alone": renamedKeys(models.sd15, emaName),
  "SDXL's EMA alone": renamedKeys(models.sdxl, emaName),
  "U-Net alone": models.sd15Unet,
  "U-Net alone, without prefix": renamedKeys(models.sd15Unet, (key) => key.slice(UNET.length)),
  "U-Net alone, short prefix": renamedKeys(models.sd15Unet, (key) => key.slice("model.".length)),
  "U-Net alone, diffusers names": models.sd15DiffusersUnet,
  "old text encoder": renamedKeys(
    models.sd15,
    (key) => key.replace("transformer.text_model.", "transformer."),
  ),
};

const shapesOf = (part: Checkpoint["unet"] | Checkpoint["text"]) =>
  part && Object.fromEntries([...part.weights].map(([key, { shape }]) => [key, shape]).sort());

Deno.test("wrapped files, files of a U-Net alone and files of EMA alone are the model that they hold", async () => {
  await using folder = await tempFolder();
  const open = async (name: string, shapes: KeyedShapes) => {
    const path = folder.join(`${name.replaceAll(/\W/g, "-")}.safetensors`);
    await writeSparse(path, inDtype(shapes));
    return await openCheckpoint(path);
  };
  const plain = { sd15: await open("sd15", models.sd15), sdxl: await open("sdxl", models.sdxl) };
  for (const [name, shapes] of Object.entries(READ)) {
    const { family, unet, text } = await open(name, shapes);
    assert.equal(family, name.includes("SDXL") ? "sdxl" : "sd15", name);
    assert.deepEqual(shapesOf(unet), shapesOf(plain[family].unet), name);
    if (!name.includes("U-Net alone")) {
      assert.deepEqual(shapesOf(text), shapesOf(plain[family].text), name);
    }
  }
});
