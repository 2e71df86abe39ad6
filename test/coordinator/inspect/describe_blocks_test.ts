import assert from "node:assert/strict";
import { describeBlocks } from "../../../coordinator/inspect/describe_blocks.ts";
import { SD15_UNET, SDXL_UNET } from "../../../shared/models/config/known_configs.ts";
import { diffusersTable, readKeyTable } from "../../shared/models/key_tables.ts";

Deno.test("describeBlocks() of SD1.5: the rows of the published architecture", async () => {
  const weights = diffusersTable(await readKeyTable("sd15_unet"));
  const blocks = describeBlocks({ config: SD15_UNET, weights });
  const byId = new Map(blocks.map((block) => [block.id, block]));
  assert.equal(blocks.length, 25);
  assert.deepEqual(byId.get("IN00"), {
    id: "IN00",
    layers: ["convolution"],
    input: [4, 64, 64],
    output: [320, 64, 64],
    parameters: 320 * 4 * 9 + 320,
  });
  assert.deepEqual(byId.get("IN03")!.layers, ["downsample"]);
  assert.deepEqual(byId.get("IN03")!.output, [320, 32, 32]);
  assert.deepEqual(byId.get("M00")!.layers, ["resnet", "attention x1 (8 heads)", "resnet"]);
  assert.deepEqual(byId.get("OUT05"), {
    id: "OUT05",
    layers: ["resnet", "attention x1 (8 heads)", "upsample"],
    input: [1280, 16, 16],
    skip: { from: "IN06", channels: 640 },
    output: [1280, 32, 32],
    parameters: byId.get("OUT05")!.parameters,
  });
  assert.deepEqual(byId.get("OUT11")!.layers.slice(-2), ["norm", "convolution"]);
  assert.deepEqual(byId.get("OUT11")!.output, [4, 64, 64]);
  // All but the time embedding's two layers.
  const sum = blocks.reduce((total, { parameters }) => total + parameters, 0);
  assert.equal(sum, 859_520_964 - (320 * 1280 + 1280) - (1280 * 1280 + 1280));
});

Deno.test("describeBlocks() of SDXL: depth and heads of each level", () => {
  const blocks = describeBlocks({ config: SDXL_UNET, weights: new Map() });
  const layers = new Map(blocks.map((block) => [block.id, block.layers]));
  assert.equal(blocks.length, 19);
  assert.deepEqual(layers.get("IN01"), ["resnet"]);
  assert.deepEqual(layers.get("IN04"), ["resnet", "attention x2 (10 heads)"]);
  assert.deepEqual(layers.get("OUT02"), ["resnet", "attention x10 (20 heads)", "upsample"]);
  assert.deepEqual(blocks[0]!.input, [4, 128, 128]);
});
