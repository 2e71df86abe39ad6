import assert from "node:assert/strict";
import { type Checkpoint, openCheckpoint } from "../../../../shared/checkpoint/checkpoint.ts";
import { openClipTable } from "../../../../shared/checkpoint/keymaps/open_clip.ts";
import { mergeLoras } from "../../../../shared/checkpoint/lora/merge_loras.ts";
import { FormatError, UsageError } from "../../../../shared/errors.ts";
import type { Family } from "../../../../shared/models/families.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { goldenExpert } from "../../../support/golden_expert.ts";
import { goldenPath } from "../../../support/goldens.ts";
import { kohyaTensors, randomLayer, type Tensors, writeLora } from "../../../support/lora_files.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { diffusersTable, readKeyTable, weightTable } from "../../models/key_tables.ts";

const MODEL = goldenExpert("a");
const ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0";

/** Fits a LoRA of these tensors; the default model is the small SD1.5 expert. */
async function fit(tensors: Tensors, metadata?: Record<string, string>, checkpoint?: Checkpoint) {
  await using folder = await tempFolder();
  const path = await writeLora(folder.join("ink.safetensors"), tensors, metadata);
  const model = checkpoint ?? await openCheckpoint(MODEL);
  return (await mergeLoras(model, [{ path, weight: 1 }])).checkpoint;
}

function refusal(
  tensors: Tensors,
  message: RegExp,
  ...rest: [Record<string, string>?, Checkpoint?]
) {
  return assert.rejects(fit(tensors, ...rest), (error: unknown) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.match(error.message, /^LoRA ".*ink\.safetensors" does not fit "/);
    assert.match(error.message, message);
    return true;
  });
}

/** A kohya layer of one matrix: `[out, 2]` times `[2, in]`. */
function matrix(name: string, outFeatures: number, inFeatures: number): Tensors {
  return {
    [`${name}.lora_down.weight`]: f32([2, inFeatures]),
    [`${name}.lora_up.weight`]: f32([outFeatures, 2]),
  };
}

/** SD1.5 and SDXL in their published sizes, as far as a header tells. */
async function publishedUNet(family: Family): Promise<Checkpoint> {
  const small = await openCheckpoint(MODEL);
  const weights = diffusersTable(await readKeyTable(`${family}_unet`));
  const crossAttentionDim = family === "sd15" ? 768 : 2048;
  const text = { ...small.text!, weights: diffusersTable(await readKeyTable("clip_l_text")) };
  const config = { ...small.unet.config, crossAttentionDim };
  return { ...small, name: family, family, unet: { config, weights }, text };
}

Deno.test("mergeLoras() lists layers that the model does not have, at most twelve", async () => {
  const layer = await randomLayer(MODEL, "unet", `${ATTENTION}.attn1.to_q`);
  const unknown = Object.assign(
    {},
    ...Array.from(
      { length: 14 },
      (_, i) => matrix(`lora_unet_mid_block_attentions_${i + 1}_x`, 4, 4),
    ),
  );
  await refusal(
    { ...kohyaTensors([layer]), ...unknown },
    /"expert-a": 14 unknown \(lora_unet_mid_block_attentions_\d+_x, .*, and 2 more\)$/,
  );
});

Deno.test("mergeLoras() lists layers of another shape, with both shapes", async () => {
  const name = "lora_unet_down_blocks_0_attentions_0_proj_in";
  await refusal(
    matrix(name, 16, 8),
    /1 mis-shaped \(lora_unet_\w+_proj_in of \[16,2\] times \[2,8\] for down_blocks\.0\.attentions\.0\.proj_in\.weight \[16,16,1,1\]\)$/,
  );
  await refusal(matrix(name, 8, 16), /1 mis-shaped/);
  // As many elements, but others: a 3x3 convolution is no matrix, and no 1x9 one.
  await refusal(matrix("lora_unet_conv_in", 16, 36), /1 mis-shaped/);
  await refusal(
    {
      "lora_unet_conv_in.lora_down.weight": f32([2, 4, 1, 9]),
      "lora_unet_conv_in.lora_up.weight": f32([16, 2, 1, 1]),
    },
    /1 mis-shaped/,
  );
  await refusal(
    {
      "lora_unet_conv_in.lora_down.weight": f32([2, 4, 1, 1]),
      "lora_unet_conv_in.lora_up.weight": f32([16, 2, 3, 3]),
    },
    /1 mis-shaped/,
  );
});

Deno.test("mergeLoras() takes a matrix for a 1x1 convolution and the other way round", async () => {
  const proj = "down_blocks.0.attentions.0.proj_in";
  const { unet } = await fit({
    ...matrix(`lora_unet_${proj.replaceAll(".", "_")}`, 16, 16),
    [`unet.${ATTENTION}.attn1.to_q.lora_A.weight`]: f32([2, 16, 1, 1]),
    [`unet.${ATTENTION}.attn1.to_q.lora_B.weight`]: f32([16, 2, 1, 1]),
  });
  const changed = [...unet.weights].filter(([, { updates }]) => updates).map(([key]) => key);
  assert.deepEqual(changed.sort(), [`${ATTENTION}.attn1.to_q.weight`, `${proj}.weight`].sort());
});

Deno.test("mergeLoras() refuses two layers for one weight", async () => {
  const name = "down_blocks_0_attentions_0_proj_in";
  await refusal(
    {
      ...matrix(`lora_unet_${name}`, 16, 16),
      ...matrix("lora_unet_input_blocks_1_1_proj_in", 16, 16),
    },
    /1 named twice \(lora_unet_\w+_proj_in and lora_unet_\w+_proj_in\)$/,
  );
});

Deno.test("mergeLoras() refuses text layers where the model has no text encoder", async () => {
  const { text: _, ...unetOnly } = await openCheckpoint(MODEL);
  await refusal(
    matrix("lora_te_text_model_encoder_layers_0_self_attn_q_proj", 24, 24),
    /1 unknown \(lora_te_\w+ \(the model has no text encoder\)\)$/,
    {},
    unetOnly,
  );
});

Deno.test("mergeLoras() refuses a file that is given twice, and a strength that is no f32", async () => {
  await using folder = await tempFolder();
  const tensors = kohyaTensors([await randomLayer(MODEL, "unet", `${ATTENTION}.attn1.to_q`)]);
  const path = await writeLora(folder.join("ink.safetensors"), tensors);
  const copy = await writeLora(folder.join("copy.safetensors"), tensors);
  const checkpoint = await openCheckpoint(MODEL);
  await assert.rejects(
    mergeLoras(checkpoint, [{ path, weight: 1 }, { path: copy, weight: 0.5 }]),
    (error: unknown) =>
      error instanceof UsageError && /given once: give the sum/.test(error.message),
  );
  await assert.rejects(mergeLoras(checkpoint, [{ path, weight: 1e39 }]), {
    name: FormatError.name,
    message:
      /the strength of "lora_unet_\w+" must be a number that f32 holds: .*weight 1e\+39, alpha 1, rank 2/,
  });
});

Deno.test("mergeLoras() names the family of a LoRA that is for another one", async () => {
  const [sd15, sdxl] = [await publishedUNet("sd15"), await publishedUNet("sdxl")];
  const down1 = "lora_unet_down_blocks_1_attentions_0_transformer_blocks";
  const self = (depth: number) => matrix(`${down1}_${depth}_attn1_to_q`, 640, 640);
  const cross = (width: number) => matrix(`${down1}_0_attn2_to_k`, 640, width);
  const te = (name: string, width: number) =>
    matrix(`${name}_text_model_encoder_layers_0_self_attn_q_proj`, width, width);
  const cases: [Checkpoint, Tensors, string, Record<string, string>?][] = [
    [sd15, cross(2048), "SDXL"],
    [sd15, cross(1024), "Stable Diffusion 2"],
    [sd15, matrix("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v", 640, 2048), "SDXL"],
    [sd15, { ...self(0), ...self(1) }, "SDXL"],
    [sd15, { ...self(0), ...te("lora_te2", 1280) }, "SDXL"],
    [sd15, { ...self(0), ...matrix("lora_unet_label_emb_0_0", 1280, 2816) }, "SDXL"],
    [sd15, te("lora_te", 1024), "Stable Diffusion 2"],
    // These layers are in both families, and fit both.
    [sd15, self(0), "SDXL", { ss_base_model_version: "sdxl_base_v1-0" }],
    [sd15, self(0), "SDXL", { "modelspec.architecture": "stable-diffusion-xl-v1-base/lora" }],
    [sdxl, self(0), "SD1.5", { ss_base_model_version: "sd_v1" }],
    [sdxl, cross(768), "SD1.5"],
    [sdxl, te("lora_te", 768), "SD1.5"],
    [sd15, matrix("lora_unet_double_blocks_0_img_attn_qkv", 4, 4), "FLUX"],
    [sd15, matrix("transformer.single_transformer_blocks.0.attn.to_q", 4, 4), "FLUX"],
    [sdxl, matrix("lora_unet_joint_blocks_0_x_block_attn_qkv", 4, 4), "Stable Diffusion 3"],
    [sdxl, matrix("transformer.transformer_blocks.0.attn.to_q", 4, 4), "a diffusion transformer"],
    [sdxl, matrix("lora_prior_unet_down_blocks_0", 4, 4), "Stable Cascade"],
  ];
  for (const [checkpoint, tensors, family, metadata] of cases) {
    const own = checkpoint.family === "sd15" ? "SD1.5" : "SDXL";
    const message = new RegExp(`, which is ${own}: this LoRA is for ${family} \\(.+\\)$`);
    await refusal(tensors, message, metadata, checkpoint);
  }
  // And those that are for the model are not refused.
  await fit({ ...self(0), ...cross(768), ...te("lora_te", 768) }, {
    ss_base_model_version: "sd_v1",
  }, sd15);
  await fit({ ...self(0), ...self(1), ...cross(2048), ...te("lora_te1", 768) }, undefined, sdxl);
  await fit(self(0), { ss_base_model_version: "something_new" }, sd15);
});

Deno.test("mergeLoras() finds SDXL's second encoder behind OpenCLIP's fused projections", async () => {
  const fused = weightTable([["transformer.resblocks.0.attn.in_proj_weight", [3 * 1280, 1280]]]);
  const xl = await publishedUNet("sdxl");
  const { text2 } = await fit(
    matrix("lora_te2_text_model_encoder_layers_0_self_attn_k_proj", 1280, 1280),
    undefined,
    { ...xl, text2: { ...xl.text!, weights: openClipTable(fused) } },
  );
  const changed = [...text2!.weights].filter(([, { updates }]) => updates).map(([key]) => key);
  assert.deepEqual(changed, ["text_model.encoder.layers.0.self_attn.k_proj.weight"]);
});

Deno.test("mergeLoras() reads SDXL's U-Net names in a folder and in a single file", async () => {
  const layer = await randomLayer(goldenPath("sdxl"), "unet", "mid_block.attentions.0.proj_in");
  const tensors = kohyaTensors([{ ...layer, path: "middle_block.1.proj_in" }]);
  for (const model of [goldenPath("sdxl"), goldenPath("sdxl", "unet.single-file.safetensors")]) {
    const { unet } = await fit(
      tensors,
      undefined,
      await openCheckpoint(model, { configFrom: goldenPath("sdxl") }),
    );
    const changed = [...unet.weights].filter(([, { updates }]) => updates).map(([key]) => key);
    assert.deepEqual(changed, ["mid_block.attentions.0.proj_in.weight"]);
  }
});
