import assert from "node:assert/strict";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add, Mul, Sigmoid } from "../../../shared/onnx/ops/elementwise.ts";
import { Split } from "../../../shared/onnx/ops/movement.ts";
import { Softmax } from "../../../shared/onnx/ops/normalization.ts";
import { shareEqual } from "../../../shared/onnx/share.ts";
import { f32, i64 } from "../../../shared/tensor/tensor.ts";
import { runGraph } from "./run_graph.ts";

Deno.test("shareEqual() computes once what is computed twice, also from equal constants", async () => {
  const g = new GraphBuilder("twice");
  const x = g.input("x", "float32", ["B", 4]);
  const branch = () => {
    const [left, right] = Split(g, Mul(g, x, g.constant(f32([1], [2]))), 1, 2);
    return Add(g, left!, Sigmoid(g, right!));
  };
  g.output("y", Mul(g, branch(), branch()));
  const graph = g.build();
  const shared = shareEqual(graph);
  assert.deepEqual(shared.nodes.map(({ op }) => op), [
    "Mul",
    "Split",
    "Sigmoid",
    "Add",
    "Mul",
    "Identity",
  ]);
  assert.equal(shared.initializers.length, 1);
  const inputs = { x: f32([1, 4], [1, 2, 3, 4]) };
  assert.deepEqual(await runGraph(shared, inputs), await runGraph(graph, inputs));
});

Deno.test("shareEqual() keeps apart what differs in dtype, shape, attribute, inputs or their order", () => {
  const g = new GraphBuilder("different");
  const x = g.input("x", "float32", ["B", 3]);
  const one = g.constant(f32([1], [0]));
  const two = g.constant(f32([1, 1], [0]));
  g.constant(i64([1], [0]));
  g.constant({ dtype: "float64", shape: [1], data: Float64Array.of(0) });
  const values = [
    Add(g, x, one),
    Add(g, x, two),
    Add(g, one, x),
    Mul(g, x, one),
    Softmax(g, x, 0),
    Softmax(g, x, 1),
  ];
  g.output("y", values.reduce((sum, value) => Add(g, sum, value)));
  const graph = g.build();
  assert.deepEqual(shareEqual(graph), graph);
});

Deno.test("shareEqual() keeps a node for each output", () => {
  const g = new GraphBuilder("outputs");
  const x = g.input("x", "float32", ["N"]);
  g.output("one", x);
  g.output("two", x);
  assert.deepEqual(shareEqual(g.build()).nodes.map(({ outputs }) => outputs), [["one"], ["two"]]);
});
