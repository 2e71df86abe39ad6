import assert from "node:assert/strict";
import { modernClipKey } from "../../../shared/checkpoint/keymaps/clip.ts";
import { UNET_PREFIX, unetKeyMap } from "../../../shared/checkpoint/keymaps/unet.ts";
import { modernVaeKey, vaeKeyMap } from "../../../shared/checkpoint/keymaps/vae.ts";
import { FAMILIES } from "../../../shared/models/families.ts";
import { readKeyTable } from "../models/key_tables.ts";

const MAPS: Readonly<
  Record<string, { readonly prefix: string; readonly rows: number; map(key: string): unknown }>
> = {
  sd15_unet: { prefix: UNET_PREFIX, rows: 686, map: unetKeyMap(2) },
  sdxl_unet: { prefix: UNET_PREFIX, rows: 1680, map: unetKeyMap(2) },
  kl_f8_vae: { prefix: "first_stage_model.", rows: 248, map: vaeKeyMap(4) },
  clip_l_text: { prefix: FAMILIES.sd15.textPrefix, rows: 196, map: modernClipKey },
};

for (const [name, { prefix, rows, map }] of Object.entries(MAPS)) {
  Deno.test(`key map of ${name}: every row of the published table`, async () => {
    const table = await readKeyTable(name);
    assert.equal(table.length, rows);
    for (const { singleFileKey, diffusersKey } of table) {
      assert.ok(singleFileKey.startsWith(prefix));
      assert.equal(map(singleFileKey.slice(prefix.length)), diffusersKey);
    }
    assert.equal(new Set(table.map(({ diffusersKey }) => diffusersKey)).size, rows);
  });
}

Deno.test("unetKeyMap() counts levels by the layers per block", () => {
  const map = unetKeyMap(1);
  assert.equal(map("input_blocks.2.0.op.weight"), "down_blocks.0.downsamplers.0.conv.weight");
  assert.equal(map("input_blocks.3.0.in_layers.2.bias"), "down_blocks.1.resnets.0.conv1.bias");
  assert.equal(map("output_blocks.3.1.norm.weight"), "up_blocks.1.attentions.1.norm.weight");
  assert.equal(map("output_blocks.1.2.conv.bias"), "up_blocks.0.upsamplers.0.conv.bias");
});

Deno.test("key maps know no other keys", () => {
  for (
    const key of [
      "input_blocks.0.1.weight",
      "input_blocks.1.0.in_layers.1.weight",
      "middle_block.3.weight",
      "output_blocks.0.3.conv.weight",
      "xinput_blocks.0.0.weight",
      "out.1.weight",
      "conv_in.weight",
    ]
  ) {
    assert.equal(unetKeyMap(2)(key), undefined, key);
  }
  for (
    const key of ["loss.logvar", "encoder.mid.attn_1.x.weight", "decoder.up.0.attn.0.q.weight"]
  ) {
    assert.equal(vaeKeyMap(4)(key), undefined, key);
  }
});

Deno.test("modernVaeKey() renames the attention of old diffusers exports, and nothing else", () => {
  const at = "decoder.mid_block.attentions.0";
  for (
    const [old, today] of [
      [`${at}.query.weight`, `${at}.to_q.weight`],
      [`${at}.key.bias`, `${at}.to_k.bias`],
      [`encoder.mid_block.attentions.0.value.weight`, `encoder.mid_block.attentions.0.to_v.weight`],
      [`${at}.proj_attn.bias`, `${at}.to_out.0.bias`],
    ] as const
  ) {
    assert.equal(modernVaeKey(old), today);
    assert.equal(modernVaeKey(today), today);
  }
  assert.equal(modernVaeKey(`${at}.group_norm.weight`), `${at}.group_norm.weight`);
});

Deno.test("modernClipKey() adds the level that old files lack, once", () => {
  for (
    const key of [
      "embeddings.position_ids",
      "encoder.layers.0.mlp.fc1.weight",
      "final_layer_norm.bias",
    ]
  ) {
    assert.equal(modernClipKey(key), `text_model.${key}`);
    assert.equal(modernClipKey(`text_model.${key}`), `text_model.${key}`);
  }
});
