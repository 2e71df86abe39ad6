import assert from "node:assert/strict";
import type { ExpertDescription } from "../../shared/engine/expert.ts";
import { ConfigFields } from "../../shared/models/config/fields.ts";
import { parseUNetConfig } from "../../shared/models/config/unet_config.ts";
import { blockSpec, unetBlockTable } from "../../shared/models/unet/block_table.ts";
import { DEFAULT_LIMITS, MESSAGE_SLACK_BYTES } from "../../shared/wire/limits.ts";
import { sessionBytes, widestOutput } from "../../worker/session_bytes.ts";
import { AffineExpert } from "../support/affine_expert.ts";

/** Stable Diffusion 1.5 as published: channels 320, 640, 1280, 1280. */
const SD15: ExpertDescription = {
  ...new AffineExpert().description,
  timeEmbedDim: 1280,
  crossAttentionDim: 768,
  blocks: unetBlockTable(parseUNetConfig(
    new ConfigFields({
      _class_name: "UNet2DConditionModel",
      cross_attention_dim: 768,
      attention_head_dim: 8,
      down_block_types: [
        ...new Array(3).fill("CrossAttnDownBlock2D"),
        "DownBlock2D",
      ],
      up_block_types: ["UpBlock2D", ...new Array(3).fill("CrossAttnUpBlock2D")],
    }, "sd15.json"),
  )).map(blockSpec),
};

const IMAGE_512 = { batch: 2, height: 64, width: 64, tokens: 77, timesteps: 50 };
const IMAGE_1024 = { ...IMAGE_512, height: 128, width: 128 };

Deno.test("sessionBytes() of a 512-pixel SD1.5 image: its 12 skips, three maps in flight, text and time", () => {
  // Skips of one row: 4 maps of 320 x 64 x 64 and so on down, 6,635,520 numbers in all.
  const skips = 2 * 6_635_520 * 4;
  const widest = 2 * 640 * 64 * 64 * 4;
  const text = 2 * 77 * 768 * 4;
  const temb = 50 * 1280 * 4;
  // Two maps that pass from block to block (the inputs of OUT09 and OUT10 are the widest), and the answer.
  const passing = widest + 2 * 320 * 64 * 64 * 4;
  assert.equal(sessionBytes(SD15, IMAGE_512), skips + passing + widest + text + temb);
});

Deno.test("sessionBytes() of a session that keeps inputs: every block's input, the gradients of skips, two that pass", () => {
  const kept = { ...IMAGE_512, keepInputs: true };
  const extra = sessionBytes(SD15, kept) - sessionBytes(SD15, IMAGE_512);
  const inputs = SD15.blocks.filter((_, index) =>
    index === 0 || !SD15.blocks.some(({ skipFrom }) => skipFrom === SD15.blocks[index - 1]!.id)
  ).map(({ inChannels, inScale }) => 2 * inChannels * (64 >> inScale) ** 2 * 4);
  const skips = 2 * 6_635_520 * 4;
  // Without kept inputs those that are no skips take two places, of the widest; now gradients do. One of them is of the
  // input of OUT09, the other of that of OUT10, in either case.
  assert.equal(extra, inputs.reduce((sum, bytes) => sum + bytes) + skips);
  // Four rows of 512 pixels fit in a session by default.
  assert.ok(sessionBytes(SD15, { ...kept, batch: 4 }) < DEFAULT_LIMITS.sessionBytes);
});

Deno.test("widestOutput() of SD1.5 is where OUT08 enlarges 640 channels to full size", () => {
  assert.deepEqual(widestOutput(SD15, IMAGE_512), { block: "OUT08", bytes: 2 * 640 * 64 * 64 * 4 });
});

Deno.test("default limits take a 1024-pixel image with guidance, and its widest stateless call", () => {
  const { maxMessageBytes, sessionBytes: limit, arenaBytes } = DEFAULT_LIMITS;
  assert.ok(widestOutput(SD15, IMAGE_1024).bytes < maxMessageBytes);
  const out09 = SD15.blocks.find((block) => block.id === "OUT09")!;
  const input = 2 * (out09.inChannels + out09.skipChannels) * 128 * 128 * 4;
  assert.ok(input + MESSAGE_SLACK_BYTES <= maxMessageBytes);
  assert.ok(widestOutput(SD15, { ...IMAGE_1024, batch: 4 }).bytes > maxMessageBytes);
  assert.ok(sessionBytes(SD15, IMAGE_1024) < limit);
  assert.ok(4 * sessionBytes(SD15, IMAGE_1024) < arenaBytes);
});
