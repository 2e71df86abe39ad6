import assert from "node:assert/strict";
import {
  OPEN_CLIP_PREFIX,
  openClipKey,
  openClipTable,
} from "../../../shared/checkpoint/keymaps/open_clip.ts";
import {
  UNET_PREFIX,
  unetKeyMap,
  unetSingleFileKey,
} from "../../../shared/checkpoint/keymaps/unet.ts";
import { vaeKeyMap, vaeSingleFileKey } from "../../../shared/checkpoint/keymaps/vae.ts";
import {
  SD15_TEXT,
  SD15_UNET,
  SD15_VAE,
  SDXL_TEXT,
  SDXL_TEXT_2,
  SDXL_UNET,
} from "../../../shared/models/config/known_configs.ts";
import { FAMILIES } from "../../../shared/models/families.ts";
import {
  type SingleFileTensor,
  text2SingleFileLayout,
  textSingleFileLayout,
  unetSingleFileLayout,
  vaeSingleFileLayout,
} from "../../../shared/checkpoint/single_file_layout.ts";
import {
  parameterCount,
  textParameters,
  unetParameters,
  vaeParameters,
} from "../../../shared/models/parameters.ts";
import { readKeyTable, weightTable } from "../models/key_tables.ts";

const LAYOUTS: Readonly<Record<string, () => SingleFileTensor[]>> = {
  sd15_unet: () => unetSingleFileLayout(SD15_UNET, unetParameters(SD15_UNET)),
  sdxl_unet: () => unetSingleFileLayout(SDXL_UNET, unetParameters(SDXL_UNET)),
  kl_f8_vae: () => vaeSingleFileLayout(SD15_VAE, vaeParameters(SD15_VAE)),
  clip_l_text: () => textSingleFileLayout("sd15", textParameters(SD15_TEXT, false)),
};

for (const [name, layout] of Object.entries(LAYOUTS)) {
  Deno.test(`single-file layout of ${name}: keys, sources and shapes of the published table`, async () => {
    const rows = await readKeyTable(name);
    const expected = new Map(
      rows.map(({ singleFileKey, diffusersKey, shape }) => [singleFileKey, {
        key: singleFileKey,
        shape,
        sources: [diffusersKey],
        isTransposed: false,
      }]),
    );
    const tensors = layout();
    assert.equal(tensors.length, expected.size);
    for (const tensor of tensors) assert.deepEqual(tensor, expected.get(tensor.key), tensor.key);
  });
}

Deno.test("unetSingleFileKey() is the inverse of unetKeyMap() for every key of the graphs", () => {
  for (const config of [SD15_UNET, SDXL_UNET]) {
    const [inverse, forward] = [unetSingleFileKey(config), unetKeyMap(config.layersPerBlock)];
    for (const key of unetParameters(config).keys()) {
      const name = inverse(key);
      assert.ok(name !== undefined && name !== key, key);
      assert.equal(forward(name), key);
    }
  }
});

Deno.test("unetSingleFileKey() counts levels by the layers per block", () => {
  const toSingleFile = unetSingleFileKey({ layersPerBlock: 1, upAttention: [false, true] });
  assert.equal(toSingleFile("down_blocks.0.downsamplers.0.conv.bias"), "input_blocks.2.0.op.bias");
  assert.equal(toSingleFile("up_blocks.0.upsamplers.0.conv.bias"), "output_blocks.1.1.conv.bias");
  assert.equal(toSingleFile("up_blocks.1.upsamplers.0.conv.bias"), "output_blocks.3.2.conv.bias");
});

Deno.test("vaeSingleFileKey() is the inverse of vaeKeyMap() for every key of the graphs", () => {
  const [inverse, forward] = [vaeSingleFileKey(4), vaeKeyMap(4)];
  for (const key of vaeParameters(SD15_VAE).keys()) {
    const name = inverse(key);
    assert.ok(name !== undefined, key);
    assert.equal(forward(name), key);
  }
});

Deno.test("inverse key maps know no other keys", () => {
  const unet = unetSingleFileKey(SD15_UNET);
  for (const key of ["conv_in", "xconv_in.weight", "down_blocks.0.resnets.0.conv3.weight", "a.b"]) {
    assert.equal(unet(key), undefined, key);
  }
  assert.equal(vaeSingleFileKey(4)("decoder.mid_block.attentions.0.to_out.weight"), undefined);
  assert.equal(openClipKey("text_model.encoder.layers.0.mlp.fc3.weight"), undefined);
});

Deno.test("single-file layout of SDXL's text encoders: transformers names, then OpenCLIP's", () => {
  const first = textSingleFileLayout("sdxl", textParameters(SDXL_TEXT, false));
  assert.equal(first.length, 196);
  assert.ok(first.every(({ key }) => key.startsWith(`${FAMILIES.sdxl.textPrefix}text_model.`)));

  const parameters = textParameters(SDXL_TEXT_2, true);
  assert.equal(parameterCount(parameters.values()), 694_659_840);
  const second = text2SingleFileLayout(parameters);
  const byKey = new Map(second.map((tensor) => [tensor.key, tensor]));
  assert.equal(byKey.size, 5 + 32 * 12);
  assert.equal(parameterCount(second.map(({ shape }) => shape)), 694_659_840);
  const layer = "text_model.encoder.layers.31.self_attn";
  assert.deepEqual(
    byKey.get(`${OPEN_CLIP_PREFIX}transformer.resblocks.31.attn.in_proj_weight`),
    {
      key: `${OPEN_CLIP_PREFIX}transformer.resblocks.31.attn.in_proj_weight`,
      shape: [3840, 1280],
      sources: [`${layer}.q_proj.weight`, `${layer}.k_proj.weight`, `${layer}.v_proj.weight`],
      isTransposed: false,
    },
  );
  assert.deepEqual(
    byKey.get(`${OPEN_CLIP_PREFIX}transformer.resblocks.31.attn.in_proj_bias`)?.shape,
    [3840],
  );
  assert.deepEqual(byKey.get(`${OPEN_CLIP_PREFIX}text_projection`), {
    key: `${OPEN_CLIP_PREFIX}text_projection`,
    shape: [1280, 1280],
    sources: ["text_projection.weight"],
    isTransposed: true,
  });
});

Deno.test("openClipTable() finds every transformers key of a layout again, in its shape", () => {
  const parameters = textParameters({ ...SDXL_TEXT_2, projectionDim: 640 }, true);
  const layout = text2SingleFileLayout(parameters);
  const table = openClipTable(
    weightTable(layout.map(({ key, shape }) => [key.slice(OPEN_CLIP_PREFIX.length), shape])),
  );
  assert.equal(table.size, parameters.size);
  for (const [key, shape] of parameters) {
    if (key === "text_projection.weight") {
      assert.deepEqual([shape, table.get("text_projection")?.shape], [[640, 1280], [1280, 640]]);
    } else {
      assert.deepEqual(table.get(key)?.shape, shape, key);
    }
  }
});

Deno.test("single-file layout puts the U-Net's keys below its prefix", () => {
  const keys = unetSingleFileLayout(SDXL_UNET, unetParameters(SDXL_UNET)).map(({ key }) => key);
  assert.ok(keys.includes(`${UNET_PREFIX}label_emb.0.2.bias`));
  assert.equal(new Set(keys).size, keys.length);
});
