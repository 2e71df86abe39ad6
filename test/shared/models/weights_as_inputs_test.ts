import assert from "node:assert/strict";
import { linear } from "../../../shared/models/layers/linear.ts";
import { groupNorm } from "../../../shared/models/layers/norm.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Mul } from "../../../shared/onnx/ops/elementwise.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { checkGradients, randomFloats } from "../onnx/gradient_check.ts";
import { runGraph } from "../onnx/run_graph.ts";

Deno.test("Weights.asInputs() makes inputs of the weights, under their keys and in their own shapes", () => {
  const weights = Weights.asInputs();
  const g = new GraphBuilder("norm");
  const x = g.input("x", "float32", ["B", 4, "H", "W"]);
  g.output("y", groupNorm(g, weights.scope("down", 0, "norm"), x, 2, 1e-5));
  const { inputs } = g.build();
  assert.deepEqual(inputs.map(({ name, shape }) => [name, shape]), [
    ["x", ["B", 4, "H", "W"]],
    ["down.0.norm.weight", [4]],
    ["down.0.norm.bias", [4]],
  ]);
  assert.deepEqual([...weights.demanded], [["down.0.norm.weight", [4]], ["down.0.norm.bias", [4]]]);
});

Deno.test("Weights.asInputs(): rows of a weight are cut in the graph, and their gradients come out whole", async () => {
  const g = new GraphBuilder("halves");
  const weights = Weights.asInputs();
  const x = g.input("x", "float32", ["M", 3]);
  const half = (first: number) => linear(g, weights, x, 2, { rows: { first, of: 4 } });
  g.output("y", Mul(g, half(0), half(2)));
  const graph = g.build();
  const weight = f32([4, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1]);
  const bias = f32([4], [0, 10, 0, 0]);
  const { y } = await runGraph(graph, { x: f32([1, 3], [2, 3, 5]), weight, bias });
  assert.deepEqual([...y!.data as Float32Array], [2 * 5, 13 * 10]);
  await checkGradients(graph, {
    x: randomFloats("float32", [5, 3], 1),
    weight: randomFloats("float32", [4, 3], 2),
    bias: randomFloats("float32", [4], 3),
  });
});
