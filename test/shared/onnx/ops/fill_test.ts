import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { IdentityImage, ScatterAddRows, ZerosLike } from "../../../../shared/onnx/ops/fill.ts";
import { ShapeOf, Slice } from "../../../../shared/onnx/ops/movement.ts";
import { f32, i64 } from "../../../../shared/tensor/tensor.ts";
import { runGraph } from "../run_graph.ts";

Deno.test("ZerosLike and IdentityImage take their sizes from the run", async () => {
  const g = new GraphBuilder("fill");
  const x = g.input("x", "float32", ["B", "N"]);
  g.output("zeros", ZerosLike(g, x));
  g.output("identity", IdentityImage(g, Slice(g, ShapeOf(g, x), 0, 1, 2), "N"));
  g.output("doubles", ZerosLike(g, g.input("d", "float64", [2])));
  const { zeros, identity, doubles } = await runGraph(g.build(), {
    x: f32([2, 3], [1, 2, 3, 4, 5, 6]),
    d: { dtype: "float64", shape: [2], data: Float64Array.of(7, 8) },
  });
  assert.deepEqual([...zeros!.data as Float32Array], [0, 0, 0, 0, 0, 0]);
  assert.deepEqual(identity!.shape, [1, 1, 3, 3]);
  assert.deepEqual([...identity!.data as Float32Array], [1, 0, 0, 0, 1, 0, 0, 0, 1]);
  assert.deepEqual(doubles!.data, Float64Array.of(0, 0));
});

Deno.test("ScatterAddRows adds each row to the one that its index names", async () => {
  const g = new GraphBuilder("scatter");
  const table = g.input("table", "float32", [3, 2]);
  const indices = g.input("indices", "int64", ["B", 2]);
  const rows = g.input("rows", "float32", ["B", 2, 2]);
  g.output("y", ScatterAddRows(g, table, indices, rows));
  const { y } = await runGraph(g.build(), {
    table: f32([3, 2], [9, 9, 9, 9, 9, 9]),
    indices: i64([2, 2], [2, 0, 2, 2]),
    rows: f32([2, 2, 2], [1, 2, 3, 4, 10, 20, 100, 200]),
  });
  assert.deepEqual([...y!.data as Float32Array], [3, 4, 0, 0, 111, 222]);
  const wide = g.input("wide", "float32", ["B", 2, 3]);
  assert.throws(() => ScatterAddRows(g, table, indices, wide), ShapeError);
  assert.throws(() => ScatterAddRows(g, wide, indices, wide), ShapeError);
});
