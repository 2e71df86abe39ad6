import assert from "node:assert/strict";
import { SabwAggregator } from "../../../../coordinator/sampling/methods/sabw/sabw_aggregator.ts";
import { mean } from "../../../../shared/tensor/lincomb.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../../support/golden_expert.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { SABW_FOLDER } from "../golden_ensemble.ts";
import { FIRST_EXPERT_ONLY, type SabwChanges, writeSabw, ZERO_CONV_OUT } from "./sabw_folder.ts";

const CPU = { device: "cpu", threads: 1 } as const;

const EXPERTS = await (async () => {
  const expert = await openGoldenExpert("a");
  await expert.close();
  const { blocks, timeEmbedDim, crossAttentionDim } = expert.description;
  return { blocks, timeEmbedDim, crossAttentionDim, numExperts: 2 };
})();

Deno.test("a SABW folder for other experts is refused, naming the field", async () => {
  const wrong: readonly (readonly [Partial<typeof EXPERTS>, RegExp])[] = [
    [{ numExperts: 3 }, /"num_models" must be 3 for these experts: current value is 2/],
    [
      { blocks: EXPERTS.blocks.slice(0, 19) },
      /"num_aggregators" must be 19 for these experts: current value is 25/,
    ],
    [{ crossAttentionDim: 768 }, /"cross_attn_dim" must be 768 for IN00: current value is 24/],
    [{ timeEmbedDim: 1280 }, /"temb_channels" must be 1280 for IN00: current value is 64/],
    [
      { blocks: EXPERTS.blocks.map((block) => ({ ...block, outChannels: block.outChannels + 1 })) },
      /was made for other experts: "in_channels" must be 17 for IN00: current value is 16/,
    ],
  ];
  for (const [change, message] of wrong) {
    await assert.rejects(SabwAggregator.open(SABW_FOLDER, { ...EXPERTS, ...change }, CPU), {
      name: "FormatError",
      message,
    });
  }
});

Deno.test("a SABW folder that contradicts itself or is damaged is refused", async () => {
  await using temp = await tempFolder();
  const cases: readonly (readonly [string, SabwChanges, RegExp])[] = [
    ["count", { model: { num_models: 2.5 } }, /"num_models" must be a whole number >= 1/],
    [
      "experts",
      { config: { num_experts: 3 } },
      /"num_experts" must be 2 for IN00: current value is 3/,
    ],
    ["width", { config: { hidden_size: 32 } }, /does not fit its config: .*mis-shaped/],
    ["layers", { config: { num_layers: 3 } }, /does not fit its config: 20 missing/],
    ["unused", { tensors: (all) => ({ ...all, extra: f32([1]) }) }, /1 unused \(extra\)/],
  ];
  for (const [name, changes, message] of cases) {
    const folder = await writeSabw(temp, name, { count: 1, ...changes });
    await assert.rejects(SabwAggregator.open(folder, EXPERTS, CPU), {
      name: "FormatError",
      message,
    });
  }
  await assert.rejects(SabwAggregator.open(temp.join("absent"), EXPERTS, CPU), {
    name: "FormatError",
    message: /Cannot read config ".*absent\/model_config\.json"/,
  });
  const first = await writeSabw(temp, "first", { count: 1 });
  await assert.rejects(SabwAggregator.open(first, EXPERTS, CPU), {
    name: "FormatError",
    message: /Cannot read config ".*first\/aggregator_1\/config\.json"/,
  });
});

Deno.test("SabwAggregator goes by its folder's name, and reports NaN with the block's", async () => {
  const aggregator = await SabwAggregator.open(`${SABW_FOLDER}/`, EXPERTS, CPU);
  try {
    assert.equal(aggregator.name, "sabw");
    const conditioning = {
      temb: randomTensor([1, 64], 1),
      encoderHiddenStates: randomTensor([1, 16, 24], 2),
    };
    const features = [randomTensor([1, 16, 4, 4], 3), randomTensor([1, 16, 4, 4], 4)];
    const poisoned = [features[0]!, f32([1, 16, 4, 4], new Array(256).fill(NaN))];
    await assert.rejects(aggregator.aggregate("IN00", poisoned, conditioning), {
      code: "DATA_LOSS",
      message: /^Output of SABW IN00 must be finite/,
      details: { block: "IN00" },
    });
    const { aggregatedFeatures, attentionMap } = await aggregator.aggregate(
      "IN00",
      features,
      conditioning,
    );
    assert.deepEqual([aggregatedFeatures.shape, attentionMap!.shape], [[1, 16, 4, 4], [
      1,
      2,
      4,
      4,
    ]]);
  } finally {
    await aggregator.close();
  }
});

Deno.test("an untrained SABW and one for a single expert run no network", async () => {
  await using temp = await tempFolder();
  // A network would make NaN of this.
  const conditioning = {
    temb: f32([1, 64], new Array(64).fill(NaN)),
    encoderHiddenStates: randomTensor([1, 16, 24], 2),
  };
  const features = [randomTensor([1, 16, 4, 4], 3), randomTensor([1, 16, 4, 4], 4)];
  for (
    const [name, changes, numExperts] of [
      ["untrained", ZERO_CONV_OUT, 2],
      ["single", FIRST_EXPERT_ONLY, 1],
    ] as const
  ) {
    const folder = await writeSabw(temp, name, changes);
    const aggregator = await SabwAggregator.open(folder, { ...EXPERTS, numExperts }, CPU);
    try {
      const inputs = features.slice(0, numExperts);
      const { attentionMap, aggregatedFeatures } = await aggregator.aggregate(
        "IN00",
        inputs,
        conditioning,
      );
      assert.deepEqual(attentionMap!.shape, [1, numExperts, 4, 4]);
      assert.ok(attentionMap!.data.every((weight) => weight === 1 / numExperts), name);
      assert.deepEqual(aggregatedFeatures.data, mean(inputs).data);
    } finally {
      await aggregator.close();
    }
  }
});
