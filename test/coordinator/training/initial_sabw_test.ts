import assert from "node:assert/strict";
import { initialSabw, PAPER_SABW_SIZE } from "../../../coordinator/training/initial_sabw.ts";
import { SD15_UNET } from "../../../shared/models/config/known_configs.ts";
import { blockSpec, unetBlockTable } from "../../../shared/models/unet/block_table.ts";

const EXPERTS = {
  blocks: unetBlockTable(SD15_UNET).map(blockSpec).slice(0, 2),
  ...{ numExperts: 3, timeEmbedDim: 1280, crossAttentionDim: 768 },
};

Deno.test("a new SABW has the paper's sizes, torch's initial values, and a conv_out of zeros", () => {
  const [first, second] = initialSabw(EXPERTS, PAPER_SABW_SIZE, 1n);
  assert.equal(first!.parameters.size, 59);
  assert.equal(first!.config.normNumGroups, 32);
  const data = (key: string) => first!.parameters.get(key)!.data;
  assert.ok(data("conv_out.weight").every((value) => value === 0));
  assert.ok(data("transformer.norm.weight").every((value) => value === 1));
  assert.ok(data("res_block.norm1.bias").every((value) => value === 0));
  for (
    const [key, inputs] of [
      ["res_block.conv1.weight", 128 * 9],
      ["res_block.conv1.bias", 128 * 9],
      ["res_block.time_emb_proj.weight", 1280],
      ["transformer.transformer_blocks.1.attn2.to_k.weight", 768],
    ] as const
  ) {
    const bound = 1 / Math.sqrt(inputs);
    const largest = data(key).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest <= bound && largest > 0.95 * bound, `${key}: ${largest}`);
    const mean = data(key).reduce((sum, value) => sum + value, 0) / data(key).length;
    assert.ok(Math.abs(mean) < 5 * bound / Math.sqrt(3 * data(key).length), `${key}: ${mean}`);
  }
  const conv = "res_block.conv1.weight";
  assert.notDeepEqual(second!.parameters.get(conv), first!.parameters.get(conv));
  const again = initialSabw(EXPERTS, PAPER_SABW_SIZE, 2n)[0]!;
  assert.notDeepEqual(again.parameters.get(conv), first!.parameters.get(conv));
});

Deno.test("no channel of a narrow SABW is alone in its group", () => {
  const groups = [8, 32, 48, 64, 256].map((hiddenSize) =>
    initialSabw(EXPERTS, { hiddenSize, numLayers: 1, numHeads: 2 }, 1n)[0]!.config.normNumGroups
  );
  assert.deepEqual(groups, [2, 8, 12, 16, 32]);
});
