import assert from "node:assert/strict";
import { SabwAggregator } from "../../../coordinator/sampling/methods/sabw/sabw_aggregator.ts";
import { type RandomSabwOptions, writeRandomSabw } from "../../../coordinator/zoo/random_sabw.ts";
import { SD15_UNET } from "../../../shared/models/config/known_configs.ts";
import { parameterCount, sabwParameters } from "../../../shared/models/parameters.ts";
import { blockSpec, unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { mean } from "../../../shared/tensor/lincomb.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

const BLOCKS = unetBlockTable(SD15_UNET).map(blockSpec);
/** Two blocks of a narrow ensemble. */
const SMALL = {
  blocks: BLOCKS.slice(0, 2),
  numExperts: 2,
  timeEmbedDim: 12,
  crossAttentionDim: 24,
  ...{ hiddenSize: 16, numLayers: 2, numHeads: 2, normNumGroups: 4 },
};
const FEATURES = [1, 2].map((seed) => randomTensor([2, 320, 4, 4], seed));
const CONDITIONING = {
  temb: randomTensor([2, 12], 3),
  encoderHiddenStates: randomTensor([2, 7, 24], 4),
};

async function aggregate(temp: TempFolder, name: string, options: RandomSabwOptions) {
  await writeRandomSabw(temp.join(name), options);
  const cpu = { device: "cpu", threads: 1 } as const;
  const aggregator = await SabwAggregator.open(temp.join(name), options, cpu);
  try {
    const result = await aggregator.aggregate(BLOCKS[1]!.id, FEATURES, CONDITIONING);
    return { mixed: result.aggregatedFeatures.data, attention: result.attentionMap!.data };
  } finally {
    await aggregator.close();
  }
}

Deno.test("the paper's three aggregated SD1.5 models have 45,132,416 parameters in SABW", () => {
  const shapes = BLOCKS.flatMap(({ outChannels: inChannels }) => [
    ...sabwParameters({
      ...{ inChannels, numExperts: 3, hiddenSize: 128, numHeads: 8, numLayers: 2 },
      ...{ crossAttentionDim: 768, timeEmbedDim: 1280, normNumGroups: 32 },
    }).values(),
  ]);
  assert.equal(shapes.length, 25 * 59);
  assert.equal(parameterCount(shapes), 45_132_416);
});

Deno.test("writeRandomSabw() writes weights that tell pixels and experts apart, by seed", async () => {
  await using temp = await tempFolder();
  const { attention } = await aggregate(temp, "a", SMALL);
  assert.equal(new Set(attention).size, attention.length);
  assert.ok(attention.some((value) => Math.abs(value - 0.5) > 0.05));
  assert.deepEqual((await aggregate(temp, "same", SMALL)).attention, attention);
  assert.notDeepEqual((await aggregate(temp, "b", { ...SMALL, seed: 1n })).attention, attention);
});

Deno.test("writeRandomSabw() writes a uniform one on demand: the mean", async () => {
  await using temp = await tempFolder();
  const { mixed, attention } = await aggregate(temp, "mean", { ...SMALL, isUniform: true });
  assert.ok(attention.every((value) => value === 0.5));
  assert.ok(difference(mixed, mean(FEATURES).data).relativeL2 < 1e-6);
});
