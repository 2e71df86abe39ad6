import assert from "node:assert/strict";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add } from "../../../shared/onnx/ops/elementwise.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

const external = (offset: number, length: number) => ({
  path: "/models/a.safetensors",
  offset,
  length,
});

Deno.test("GraphBuilder names fresh values by op and counts them", () => {
  const g = new GraphBuilder("names");
  const x = g.input("x", "float32", ["B"]);
  const y = Add(g, x, x);
  const z = Add(g, y, g.constant(f32([], [1])));
  assert.deepEqual([y.name, z.name], ["add_0", "add_1"]);
  g.output("z", z);
  const graph = g.build();
  assert.deepEqual(graph.outputs, [{ name: "z", dtype: "float32", shape: ["B"] }]);
  assert.deepEqual(graph.nodes.map(({ op, inputs, outputs }) => [op, inputs, outputs]), [
    ["Add", ["x", "x"], ["add_0"]],
    ["Add", ["add_0", "constant_0"], ["add_1"]],
    ["Identity", ["add_1"], ["z"]],
  ]);
});

Deno.test("GraphBuilder refuses one name for two values", () => {
  const g = new GraphBuilder("twice");
  const x = g.input("x", "float32", [1]);
  g.output("y", x);
  const message = (name: string) => `Graph value "${name}" is already defined`;
  assert.throws(() => g.input("x", "float32", [1]), { name: "ShapeError", message: message("x") });
  assert.throws(() => g.output("y", x), { name: "ShapeError", message: message("y") });
  assert.throws(() => g.weight("x", "float32", [1], external(0, 4)), { message: message("x") });
});

Deno.test("GraphBuilder: a weight is one initializer, however often it is asked for", () => {
  const g = new GraphBuilder("shared");
  const first = g.weight("w", "float16", [3], external(8, 6));
  assert.equal(g.weight("w", "float16", [3], external(8, 6)), first);
  assert.deepEqual(g.build().initializers, [
    { name: "w", dtype: "float16", shape: [3], external: external(8, 6) },
  ]);
});

Deno.test("GraphBuilder: a parameter is one input, however often it is asked for", () => {
  const g = new GraphBuilder("parameters");
  const first = g.parameter("w", "float32", [3]);
  assert.equal(g.parameter("w", "float32", [3]), first);
  assert.deepEqual(g.build().inputs, [{ name: "w", dtype: "float32", shape: [3] }]);
});

Deno.test("GraphBuilder refuses a weight whose byte count is not that of its shape", () => {
  const g = new GraphBuilder("bytes");
  assert.throws(() => g.weight("w", "bfloat16", [3, 2], external(0, 24)), {
    name: "ShapeError",
    message: 'Weight "w" of bfloat16 [3, 2] must have 12 bytes: current length is 24',
  });
});
