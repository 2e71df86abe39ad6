import assert from "node:assert/strict";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { detectFamily, familyOfConfig } from "../../../shared/checkpoint/family.ts";
import { FAMILIES, FAMILY_IDS } from "../../../shared/models/families.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { f32, type Shape } from "../../../shared/tensor/tensor.ts";
import { readKeyTable } from "../models/key_tables.ts";
import { goldenPath } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const UNET = "model.diffusion_model.";
const SD15_MARK = `${UNET}output_blocks.11.0.skip_connection.weight`;
const CONV_IN = `${UNET}input_blocks.0.0.weight`;
const SD2_WIDTH = `${UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight`;

const entries = (shapes: Readonly<Record<string, Shape>>) =>
  new Map(Object.entries(shapes).map(([key, shape]) => [key, { shape }]));

Deno.test("detectFamily() knows the published SD1.5 and SDXL files", async () => {
  for (const [table, family] of [["sd15_unet", "sd15"], ["sdxl_unet", "sdxl"]] as const) {
    const rows = await readKeyTable(table);
    const shapes = new Map(rows.map(({ singleFileKey, shape }) => [singleFileKey, { shape }]));
    assert.equal(detectFamily(shapes, "a.safetensors"), family);
  }
  assert.equal(
    detectFamily(
      entries({ "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias": [1280] }),
      "a.safetensors",
    ),
    "sdxl",
  );
});

const REFUSED: readonly (readonly [what: RegExp, shapes: Readonly<Record<string, Shape>>])[] = [
  [/an inpainting model \(9 input channels\)/, { [SD15_MARK]: [1], [CONV_IN]: [4, 9, 1, 1] }],
  [/an instruct-pix2pix model \(8 input channels\)/, {
    [SD15_MARK]: [1],
    [CONV_IN]: [4, 8, 1, 1],
  }],
  [/a Stable Diffusion 2 model/, { [SD15_MARK]: [1], [SD2_WIDTH]: [2, 1024] }],
  [/a FLUX model/, { "double_blocks.0.img_attn.qkv.weight": [2] }],
  [/a FLUX model/, { [`${UNET}double_blocks.0.img_attn.qkv.weight`]: [2] }],
  [/a Stable Diffusion 3 model/, { [`${UNET}joint_blocks.0.x_block.attn.qkv.weight`]: [2] }],
  [/a LoRA, not a checkpoint/, {
    "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight": [2],
  }],
  [/a LoRA, not a checkpoint/, { "unet.up_blocks.0.attn.processor.to_q_lora.up.weight": [2] }],
  [/a LoRA, not a checkpoint/, { "unet.down_blocks.0.attentions.0.to_q.lora_A.weight": [2] }],
  // A LoRA for FLUX names FLUX's layers, and is a LoRA all the same.
  [/a LoRA, not a checkpoint/, { "transformer.double_blocks.0.img_attn.lora_A.weight": [2] }],
  [/a ControlNet/, { "control_model.input_blocks.0.0.weight": [2] }],
  [/no model that its keys tell/, { "fc.weight": [2], "floral.weight": [1] }],
  [/no model that its keys tell/, {}],
];

Deno.test("familyOfConfig() knows each family by its published config", () => {
  for (const family of FAMILY_IDS) {
    assert.equal(familyOfConfig(FAMILIES[family].configs.unet, "a"), family);
  }
});

Deno.test("a single file of another family is refused, saying what it is", async () => {
  await using folder = await tempFolder();
  for (const [index, [what, shapes]] of REFUSED.entries()) {
    const path = folder.join(`${index}.safetensors`);
    const tensors = Object.entries(shapes).map(([key, shape]) => [key, f32(shape)]);
    await writeSafetensors(path, Object.fromEntries(tensors));
    await assert.rejects(openCheckpoint(path), (error: Error) => {
      assert.equal(error.name, "FormatError");
      assert.match(error.message, what);
      assert.match(error.message, /^Checkpoint ".*\d\.safetensors" is not supported: this is /);
      return true;
    });
  }
});

Deno.test("a folder of another family is refused, saying what it is", async () => {
  const config = await Deno.readTextFile(goldenPath("sd15", "expert-a", "unet", "config.json"));
  for (
    const [change, what] of [
      [{ in_channels: 9 }, /this is an inpainting model \(9 input channels\)/],
      [{ in_channels: 8 }, /this is an instruct-pix2pix model \(8 input channels\)/],
      [{ cross_attention_dim: 1024 }, /this is a Stable Diffusion 2 model/],
    ] as const
  ) {
    await using folder = await tempFolder();
    await Deno.mkdir(folder.join("unet"));
    const json = JSON.stringify({ ...JSON.parse(config), ...change });
    await Deno.writeTextFile(folder.join("unet", "config.json"), json);
    await writeSafetensors(folder.join("unet", "diffusion_pytorch_model.safetensors"), {
      "conv_in.weight": f32([1]),
    });
    await assert.rejects(openCheckpoint(folder.path), { name: "FormatError", message: what });
  }
  await using folder = await tempFolder();
  await Deno.mkdir(folder.join("transformer"));
  await assert.rejects(openCheckpoint(folder.path), {
    name: "FormatError",
    message: /this is a transformer model, as FLUX and Stable Diffusion 3 are; Tutti runs/,
  });
});
