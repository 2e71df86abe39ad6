import assert from "node:assert/strict";
import { readWeightTable } from "../../../shared/checkpoint/weight_files.ts";
import { Lane } from "../../../shared/lane/lane.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { parseSabwConfig } from "../../../shared/models/config/sabw_config.ts";
import { sabwGraph, sabwTextGraph } from "../../../shared/models/sabw.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { graphFlops } from "../../../shared/onnx/flops.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { goldenPath } from "../../support/goldens.ts";
import { runOn } from "../onnx/run_graph.ts";

const SIZES = new Map([["B", 2], ["H", 6], ["W", 5], ["L", 9]]);

async function openAggregator(index: number) {
  const folder = goldenPath("sd15", "sabw", `aggregator_${index}`);
  const config = parseSabwConfig(await ConfigFields.read(`${folder}/config.json`));
  const weights = Weights.of(await readWeightTable(`${folder}/aggregator.safetensors`));
  return { config, weights };
}

Deno.test("SABW over keys and values of the text equals SABW over its states, bit for bit", async () => {
  const { config, weights } = await openAggregator(7);
  const { inChannels, crossAttentionDim, timeEmbedDim } = config;
  const image = {
    features_0: randomTensor([2, inChannels, 6, 5], 1),
    features_1: randomTensor([2, inChannels, 6, 5], 2),
    temb: randomTensor([2, timeEmbedDim], 3),
  };
  const states = { encoder_hidden_states: randomTensor([2, 9, crossAttentionDim], 4) };
  await using lane = new Lane({ device: "cpu", threads: 1 });
  const whole = await runOn(lane, sabwGraph("whole", config, weights), { ...image, ...states });
  const text = await runOn(lane, sabwTextGraph("text", config, weights), states);
  assert.deepEqual(Object.keys(text), ["key_0", "value_0", "key_1", "value_1"]);
  const apart = sabwGraph("apart", config, weights, "fused", "keys and values");
  weights.check("the aggregator in two graphs");
  const parts = await runOn(lane, apart, { ...image, ...text });
  for (const name of ["attention_map", "aggregated_features"]) {
    assert.ok(bitEqual(parts[name]!.data, whole[name]!.data), name);
  }
});

Deno.test("SABW's fused lowering takes fewer operations, and copies no features together", async () => {
  const { config, weights } = await openAggregator(7);
  const fused = sabwGraph("fused", config, weights);
  const layered = sabwGraph("layered", config, weights, "primitive");
  const sum = (graph: typeof fused) =>
    Object.values(graphFlops(graph, SIZES)).reduce((a, b) => a + b, 0);
  assert.ok(sum(fused) < sum(layered), `${sum(fused)} and ${sum(layered)}`);
  const inputs = new Set(fused.inputs.map(({ name }) => name));
  const concatenated = fused.nodes.filter(({ op }) => op === "Concat").flatMap((n) => n.inputs);
  assert.deepEqual(concatenated.filter((name) => inputs.has(name)), []);
});
