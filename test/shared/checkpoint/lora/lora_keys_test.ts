import assert from "node:assert/strict";
import { unetKeyMap } from "../../../../shared/checkpoint/keymaps/unet.ts";
import { layerKeys, loraLayerName } from "../../../../shared/checkpoint/lora/lora_keys.ts";
import { FAMILY_IDS } from "../../../../shared/models/families.ts";
import { diffusersTable, type KeyRow, readKeyTable } from "../../models/key_tables.ts";
import { weightTable } from "../../models/key_tables.ts";

const UNET_PREFIX = "model.diffusion_model.";
const toDiffusers = unetKeyMap(2);
const nameOf = (path: string) => loraLayerName(path, toDiffusers);

/** Weights that a LoRA can change, each without `.weight`. */
function layersOf(rows: readonly KeyRow[]): { ldm: string; diffusers: string }[] {
  return rows.filter(({ singleFileKey: key, shape }) => key.endsWith(".weight") && shape.length > 1)
    .map(({ singleFileKey, diffusersKey }) => ({
      ldm: singleFileKey.replace(UNET_PREFIX, "").replace(/\.weight$/, ""),
      diffusers: diffusersKey.replace(/\.weight$/, ""),
    }));
}

for (const family of FAMILY_IDS) {
  Deno.test(`loraLayerName() finds every ${family} U-Net layer by each of its names`, async () => {
    const rows = await readKeyTable(`${family}_unet`);
    const keys = layerKeys(diffusersTable(rows));
    const layers = layersOf(rows);
    assert.equal(keys.size, layers.length, "two layers have one name");
    assert.ok(layers.length > 200);
    for (const { ldm, diffusers } of layers) {
      const paths = [
        `lora_unet_${diffusers.replaceAll(".", "_")}`,
        `lora_unet_${ldm.replaceAll(".", "_")}`,
        `unet.${diffusers}`,
        `lora_unet.${diffusers}`,
        `lora_unet.${ldm}`,
        diffusers,
        `base_model.model.${diffusers}`,
        `diffusion_model.${ldm}`,
        `model.diffusion_model.${ldm}`,
      ];
      for (const path of paths) {
        const { part, name } = nameOf(path);
        assert.deepEqual([part, keys.get(name)], ["unet", `${diffusers}.weight`], path);
      }
    }
  });
}

Deno.test("loraLayerName() finds every layer of a text encoder by each of its names", async () => {
  const rows = await readKeyTable("clip_l_text");
  const keys = layerKeys(diffusersTable(rows));
  const layers = layersOf(rows).filter(({ diffusers }) => diffusers.includes(".layers."));
  assert.equal(layers.length, 12 * 6);
  for (const { diffusers } of layers) {
    const flat = diffusers.replaceAll(".", "_");
    const paths = [
      [`lora_te_${flat}`, "text"],
      [`lora_te1_${flat}`, "text"],
      [`lora_te2_${flat}`, "text2"],
      [`text_encoder.${diffusers}`, "text"],
      [`text_encoder_2.${diffusers}`, "text2"],
      [`clip_l.${diffusers}`, "text"],
      [`clip_g.${diffusers}`, "text2"],
      [`text_encoders.clip_l.transformer.${diffusers}`, "text"],
      [`text_encoders.clip_g.transformer.${diffusers}`, "text2"],
      [`lora_te1.${diffusers}`, "text"],
      [`lora_te2.${diffusers}`, "text2"],
    ] as const;
    for (const [path, part] of paths) {
      const found = nameOf(path);
      assert.deepEqual([found.part, keys.get(found.name)], [part, `${diffusers}.weight`], path);
    }
  }
});

Deno.test("loraLayerName() knows the names of diffusers' attention processors", () => {
  const block = "down_blocks.0.attentions.0.transformer_blocks.0";
  const flat = "down_blocks_0_attentions_0_transformer_blocks_0";
  for (const prefix of ["unet.", ""]) {
    for (const layer of ["to_q", "to_k", "to_v"]) {
      assert.deepEqual(nameOf(`${prefix}${block}.attn1.processor.${layer}`), {
        part: "unet",
        name: `${flat}_attn1_${layer}`,
      });
    }
    assert.equal(nameOf(`${prefix}${block}.attn2.processor.to_out`).name, `${flat}_attn2_to_out_0`);
  }
  const layer = "text_model.encoder.layers.3.self_attn";
  const names = ["to_q", "to_k", "to_v", "to_out"].map((name) =>
    nameOf(`text_encoder.${layer}.${name}`).name.replace(/^.*_self_attn_/, "")
  );
  assert.deepEqual(names, ["q_proj", "k_proj", "v_proj", "out_proj"]);
});

Deno.test("layerKeys() leaves out biases, norms and other vectors", () => {
  const table = weightTable([
    ["a.proj.weight", [4, 2]],
    ["a.proj.bias", [4]],
    ["a.norm.weight", [4]],
    ["b.conv.weight", [4, 2, 3, 3]],
    ["text_projection", [4, 2]],
  ]);
  assert.deepEqual([...layerKeys(table)], [
    ["a_proj", "a.proj.weight"],
    ["b_conv", "b.conv.weight"],
    // As single files name it.
    ["text_projection", "text_projection"],
  ]);
});
