import assert from "node:assert/strict";
import { type Graph, GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add, Mul, Sigmoid } from "../../../shared/onnx/ops/elementwise.ts";
import { Reshape, ReshapeLike, Split } from "../../../shared/onnx/ops/movement.ts";
import { pruneGraph } from "../../../shared/onnx/prune.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { runGraph } from "./run_graph.ts";

const opsOf = ({ nodes }: Graph) => nodes.map(({ op }) => op);

Deno.test("pruneGraph() leaves out nodes and constants that no output needs, and keeps inputs", () => {
  const g = new GraphBuilder("dead");
  const x = g.input("x", "float32", ["N"]);
  const unused = g.input("unused", "float32", ["N"]);
  Mul(g, Sigmoid(g, unused), g.constant(f32([], [2])));
  g.output("y", Add(g, x, g.constant(f32([], [3]))));
  const pruned = pruneGraph(g.build());
  assert.deepEqual(opsOf(pruned), ["Add", "Identity"]);
  assert.deepEqual(pruned.initializers.map(({ name }) => name), ["constant_1"]);
  assert.deepEqual(pruned.inputs.map(({ name }) => name), ["x", "unused"]);
});

Deno.test("pruneGraph() keeps a node of which one output is needed", () => {
  const g = new GraphBuilder("parts");
  g.output("y", Split(g, g.input("x", "float32", ["B", 4]), 1, 2)[1]!);
  assert.deepEqual(opsOf(pruneGraph(g.build())), ["Split", "Identity"]);
});

Deno.test("pruneGraph() asks an input for a shape, rather than compute a value only for it", async () => {
  const g = new GraphBuilder("shape only");
  const x = g.input("x", "float32", ["B", "H", "W"]);
  const flat = g.input("flat", "float32", ["B", "H*W"]);
  g.output("y", ReshapeLike(g, flat, Sigmoid(g, Mul(g, x, x))));
  const pruned = pruneGraph(g.build());
  assert.deepEqual(opsOf(pruned), ["Shape", "Reshape", "Identity"]);
  assert.deepEqual(pruned.nodes[0]!.inputs, ["x"]);
  const inputs = { x: randomTensor([2, 3, 4], 1), flat: randomTensor([2, 12], 2) };
  const { y } = await runGraph(pruned, inputs);
  assert.ok(bitEqual(y!.data as Float32Array, inputs.flat.data));
});

Deno.test("pruneGraph() computes a value for its shape where nothing else has it", () => {
  const g = new GraphBuilder("its own shape");
  const x = g.input("x", "float32", ["B", 4, "H", "W"]);
  const flat = g.input("flat", "float32", ["4*B*H*W"]);
  const grouped = Reshape(g, x, [0, 2, -1]);
  g.output("y", ReshapeLike(g, flat, grouped));
  assert.deepEqual(opsOf(pruneGraph(g.build())), ["Reshape", "Shape", "Reshape", "Identity"]);
});

Deno.test("pruneGraph() asks no value that is computed only after the question", () => {
  const g = new GraphBuilder("order");
  const x = g.input("x", "float32", ["B", 4, "H", "W"]);
  const grouped = Reshape(g, x, [0, 2, -1]);
  const y = ReshapeLike(g, g.input("flat", "float32", ["4*B*H*W"]), grouped);
  g.output("y", Sigmoid(g, y));
  const pruned = pruneGraph(g.build());
  assert.deepEqual(pruned.nodes.find(({ op }) => op === "Shape")!.inputs, [grouped.name]);
});
