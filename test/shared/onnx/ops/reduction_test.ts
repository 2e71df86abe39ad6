import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { ReduceMean, ReduceSum } from "../../../../shared/onnx/ops/reduction.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";
import { runGraph } from "../run_graph.ts";

Deno.test("ReduceSum and ReduceMean take whole axes together, and keep them as 1 or drop them", async () => {
  const g = new GraphBuilder("reduction");
  const x = g.input("x", "float32", ["B", 3, "W"]);
  const kept = ReduceSum(g, x, [0, 2]);
  const dropped = ReduceSum(g, x, [0, 2], { keepdims: false });
  const mean = ReduceMean(g, x, [1]);
  assert.deepEqual([kept.shape, dropped.shape, mean.shape], [[1, 3, 1], [3], ["B", 1, "W"]]);
  for (const [name, value] of Object.entries({ kept, dropped, mean })) g.output(name, value);
  const data = f32([2, 3, 2], Array.from({ length: 12 }, (_, i) => i));
  const outputs = await runGraph(g.build(), { x: data });
  const numbers = (name: string) => [...outputs[name]!.data as Float32Array];
  assert.deepEqual(numbers("kept"), [14, 22, 30]);
  assert.deepEqual(numbers("dropped"), [14, 22, 30]);
  assert.deepEqual(numbers("mean"), [2, 3, 8, 9]);
});

Deno.test("ReduceSum refuses axes that are not there, none, and one twice", () => {
  const g = new GraphBuilder("refusals");
  const x = g.input("x", "float32", ["B", 3]);
  for (const axes of [[2], [-1], [], [0, 0], [0.5]]) {
    assert.throws(() => ReduceSum(g, x, axes), ShapeError, `[${axes}]`);
  }
});
