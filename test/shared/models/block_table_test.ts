import assert from "node:assert/strict";
import {
  BLOCK_ID,
  blockIndex,
  blockOutputShape,
  type BlockSpec,
  requireBlockIndex,
  sizeAtScale,
} from "../../../shared/models/blocks.ts";
import { SD15_UNET } from "../../../shared/models/config/known_configs.ts";
import { FAMILIES, FAMILY_IDS } from "../../../shared/models/families.ts";
import { blockSpec, unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { SDXL_UNET } from "./sdxl_config.ts";

/** One line a block: id, channels in (+ skip from), out, scale in > out, up-sampling, diffusers locations. */
function formatBlock(block: BlockSpec): string {
  const skip = block.skipFrom === undefined ? "" : `+${block.skipChannels}(${block.skipFrom})`;
  const scale = `${block.inScale}>${block.outScale}${block.upsamples ? " up" : ""}`;
  return `${block.id} ${block.inChannels}${skip} ${block.outChannels} ${scale} ${
    block.locations.join(" ")
  }`;
}

Deno.test("SD1.5's block table is the specification's: 12 + 1 + 12 blocks", () => {
  const down = (level: number, layer: number) =>
    `down_blocks.${level}.resnets.${layer} down_blocks.${level}.attentions.${layer}`;
  const up = (level: number, layer: number) =>
    `up_blocks.${level}.resnets.${layer} up_blocks.${level}.attentions.${layer}`;
  const table = unetBlockTable(SD15_UNET).map(blockSpec);
  assert.deepEqual(table.map(formatBlock), [
    "IN00 4 320 0>0 conv_in",
    `IN01 320 320 0>0 ${down(0, 0)}`,
    `IN02 320 320 0>0 ${down(0, 1)}`,
    "IN03 320 320 0>1 down_blocks.0.downsamplers.0.conv",
    `IN04 320 640 1>1 ${down(1, 0)}`,
    `IN05 640 640 1>1 ${down(1, 1)}`,
    "IN06 640 640 1>2 down_blocks.1.downsamplers.0.conv",
    `IN07 640 1280 2>2 ${down(2, 0)}`,
    `IN08 1280 1280 2>2 ${down(2, 1)}`,
    "IN09 1280 1280 2>3 down_blocks.2.downsamplers.0.conv",
    "IN10 1280 1280 3>3 down_blocks.3.resnets.0",
    "IN11 1280 1280 3>3 down_blocks.3.resnets.1",
    "M00 1280 1280 3>3 mid_block",
    "OUT00 1280+1280(IN11) 1280 3>3 up_blocks.0.resnets.0",
    "OUT01 1280+1280(IN10) 1280 3>3 up_blocks.0.resnets.1",
    "OUT02 1280+1280(IN09) 1280 3>2 up up_blocks.0.resnets.2 up_blocks.0.upsamplers.0.conv",
    `OUT03 1280+1280(IN08) 1280 2>2 ${up(1, 0)}`,
    `OUT04 1280+1280(IN07) 1280 2>2 ${up(1, 1)}`,
    `OUT05 1280+640(IN06) 1280 2>1 up ${up(1, 2)} up_blocks.1.upsamplers.0.conv`,
    `OUT06 1280+640(IN05) 640 1>1 ${up(2, 0)}`,
    `OUT07 640+640(IN04) 640 1>1 ${up(2, 1)}`,
    `OUT08 640+320(IN03) 640 1>0 up ${up(2, 2)} up_blocks.2.upsamplers.0.conv`,
    `OUT09 640+320(IN02) 320 0>0 ${up(3, 0)}`,
    `OUT10 320+320(IN01) 320 0>0 ${up(3, 1)}`,
    `OUT11 320+320(IN00) 4 0>0 ${up(3, 2)} conv_norm_out conv_out`,
  ]);
});

Deno.test("SDXL's block table is the specification's: 9 + 1 + 9 blocks", () => {
  const table = unetBlockTable(SDXL_UNET);
  assert.deepEqual(
    table.map(({ locations: _, ...block }) => formatBlock({ ...block, locations: [] }).trim()),
    [
      "IN00 4 320 0>0",
      "IN01 320 320 0>0",
      "IN02 320 320 0>0",
      "IN03 320 320 0>1",
      "IN04 320 640 1>1",
      "IN05 640 640 1>1",
      "IN06 640 640 1>2",
      "IN07 640 1280 2>2",
      "IN08 1280 1280 2>2",
      "M00 1280 1280 2>2",
      "OUT00 1280+1280(IN08) 1280 2>2",
      "OUT01 1280+1280(IN07) 1280 2>2",
      "OUT02 1280+640(IN06) 1280 2>1 up",
      "OUT03 1280+640(IN05) 640 1>1",
      "OUT04 640+640(IN04) 640 1>1",
      "OUT05 640+320(IN03) 640 1>0 up",
      "OUT06 640+320(IN02) 320 0>0",
      "OUT07 320+320(IN01) 320 0>0",
      "OUT08 320+320(IN00) 4 0>0",
    ],
  );
  const attentionOf = (id: string) => {
    const block = table.find((candidate) => candidate.id === id)!;
    return block.attention && SDXL_UNET.transformerLayers[block.level];
  };
  assert.deepEqual(
    ["IN01", "IN04", "IN08", "M00", "OUT02", "OUT05", "OUT06"].map(attentionOf),
    [undefined, 2, 10, 10, 10, 2, undefined],
  );
});

Deno.test("unetBlockTable(): every skip is used once, last in first out, and each block takes what the one before gives", () => {
  const shallow = {
    ...SD15_UNET,
    blockOutChannels: [8, 16],
    layersPerBlock: 1,
    downAttention: [true, false],
    upAttention: [false, true],
    numHeads: [2, 2],
    transformerLayers: [1, 1],
  };
  for (const config of [SD15_UNET, SDXL_UNET, shallow]) {
    const table = unetBlockTable(config);
    const downIds = table.filter(({ id }) => id.startsWith("IN")).map(({ id }) => id);
    const skips = table.flatMap(({ skipFrom }) => skipFrom ?? []);
    assert.deepEqual(skips, downIds.toReversed());
    table.slice(1).forEach((block, i) => {
      const { id, outChannels, outScale } = table[i]!;
      assert.deepEqual([block.inChannels, block.inScale], [outChannels, outScale], `after ${id}`);
      const skip = table.find((candidate) => candidate.id === block.skipFrom);
      if (skip) assert.equal(skip.outScale, block.inScale, `scale of ${block.id} and its skip`);
    });
    assert.equal(
      new Set(table.flatMap(({ locations }) => locations)).size,
      table.flatMap((b) => b.locations).length,
    );
  }
  assert.deepEqual(
    unetBlockTable(shallow).map(({ id }) => id),
    ["IN00", "IN01", "IN02", "IN03", "M00", "OUT00", "OUT01", "OUT02", "OUT03"],
  );
});

Deno.test("sizeAtScale() halves upwards, as stride-2 convolutions with padding 1 do", () => {
  assert.deepEqual([0, 1, 2, 3].map((scale) => sizeAtScale(64, scale)), [64, 32, 16, 8]);
  assert.deepEqual([0, 1, 2, 3].map((scale) => sizeAtScale(20, scale)), [20, 10, 5, 3]);
  assert.equal(sizeAtScale(1, 3), 1);
  const [up] = unetBlockTable(SD15_UNET).filter(({ id }) => id === "OUT02");
  assert.deepEqual(blockOutputShape(up!, 12, 20), [1280, 3, 5]);
});

Deno.test("blocks of every family have ids of one form, and are found by them", () => {
  for (const family of FAMILY_IDS) {
    const table = unetBlockTable(FAMILIES[family].configs.unet).map(blockSpec);
    for (const [index, { id }] of table.entries()) {
      assert.match(id, BLOCK_ID);
      assert.equal(blockIndex(table, id), index);
      assert.equal(requireBlockIndex(table, "first", id), index);
    }
    assert.equal(blockIndex(table, "OUT12"), -1);
  }
  for (const id of ["IN0", "IN000", "in00", "MID00", "IN00 ", "", "xOUT00"]) {
    assert.doesNotMatch(id, BLOCK_ID);
  }
  assert.throws(() => requireBlockIndex(unetBlockTable(SD15_UNET), "first", "IN12"), {
    code: "NOT_FOUND",
    message: 'first must be one of IN00..OUT11: current value is "IN12"',
  });
});
