import assert from "node:assert/strict";
import { SabwText } from "../../../../coordinator/sampling/methods/sabw/sabw_text.ts";
import { readWeightTable } from "../../../../shared/checkpoint/weight_files.ts";
import { GraphRunner } from "../../../../shared/engine/graph_runner.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { parseSabwConfig } from "../../../../shared/models/config/sabw_config.ts";
import { sabwTextGraph } from "../../../../shared/models/sabw.ts";
import { Weights } from "../../../../shared/models/weights.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { SABW_FOLDER } from "../golden_ensemble.ts";

async function textGraph(index: number) {
  const folder = `${SABW_FOLDER}/aggregator_${index}`;
  const config = parseSabwConfig(await ConfigFields.read(`${folder}/config.json`));
  const weights = Weights.of(await readWeightTable(`${folder}/aggregator.safetensors`));
  return sabwTextGraph(`text ${index}`, config, weights);
}

Deno.test("SabwText computes the keys and values of a text once per block", async () => {
  const graphs = [await textGraph(0), await textGraph(1)] as const;
  await using runner = new GraphRunner(graphs, { device: "cpu", threads: 1, lanes: 1 });
  const text = new SabwText(runner);
  const states = randomTensor([2, 9, 24], 1);
  const [first, again] = await Promise.all([
    text.inputs(graphs[0], states),
    text.inputs(graphs[0], states),
  ]);
  assert.deepEqual(Object.keys(first), graphs[0].outputs.map(({ name }) => name));
  assert.deepEqual(first.key_0!.shape.slice(0, 2), [2, 9]);
  assert.equal(again, first);
  assert.equal(await text.inputs(graphs[0], states), first);

  const otherBlock = await text.inputs(graphs[1], states);
  assert.ok(
    !bitEqual(otherBlock.key_0!.data, first.key_0!.data),
    "each block has weights of its own",
  );
  const otherText = await text.inputs(graphs[0], randomTensor([2, 9, 24], 2));
  assert.ok(!bitEqual(otherText.key_0!.data, first.key_0!.data), "another text is another");
});

Deno.test("SabwText tries again after a failure", async () => {
  const graph = await textGraph(0);
  await using runner = new GraphRunner([], { device: "cpu", threads: 1, lanes: 1 });
  const text = new SabwText(runner);
  const states = randomTensor([1, 9, 24], 1);
  await assert.rejects(text.inputs(graph, states), { code: "NOT_FOUND" });
  runner.add(graph.name, () => graph);
  assert.deepEqual((await text.inputs(graph, states)).value_1!.shape.slice(0, 2), [1, 9]);
});
