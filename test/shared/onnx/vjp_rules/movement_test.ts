import assert from "node:assert/strict";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import { Mul } from "../../../../shared/onnx/ops/elementwise.ts";
import {
  Concat,
  Gather,
  Reshape,
  ReshapeLike,
  ResizeNearest,
  Slice,
  Split,
  Transpose,
} from "../../../../shared/onnx/ops/movement.ts";
import { vjpGraph } from "../../../../shared/onnx/vjp.ts";
import { i64 } from "../../../../shared/tensor/tensor.ts";
import { checkGradients, graphOf, randomFloats } from "../gradient_check.ts";

const random = (shape: readonly number[], seed: number) => randomFloats("float64", shape, seed);
const image = { x: ["B", 4, "H", "W"] } as const;
const x = random([2, 4, 3, 5], 1);

Deno.test("Reshape: the gradient goes back to the old shape, with one or several sizes unknown", async () => {
  for (const dims of [[0, 2, -1], [-1], [0, 4, -1], [0, 2, 2, -1]]) {
    await checkGradients(graphOf("float64", image, (g, x) => Reshape(g, x!, dims)), { x });
  }
  const there = graphOf("float64", image, (g, x) => ReshapeLike(g, Reshape(g, x!, [0, 4, -1]), x!));
  await checkGradients(there, { x });
});

Deno.test("Transpose: the gradient is permuted back", async () => {
  for (const perm of [[0, 2, 3, 1], [3, 0, 1, 2], [1, 0, 3, 2]]) {
    await checkGradients(graphOf("float64", image, (g, x) => Transpose(g, x!, perm)), { x });
  }
});

Deno.test("Concat: each input gets its part of the gradient", async () => {
  const shapes = { a: ["B", 1, "H"], b: ["B", 3, "H"], c: ["B", 2, "H"] } as const;
  const graph = graphOf("float64", shapes, (g, a, b, c) => Concat(g, [a!, b!, c!, a!], 1));
  const inputs = { a: random([2, 1, 3], 1), b: random([2, 3, 3], 2), c: random([2, 2, 3], 3) };
  await checkGradients(graph, inputs);
  await checkGradients(graph, inputs, { wrt: ["c"] });
});

Deno.test("Concat on an axis of unknown size has no derivative, and says so", () => {
  const shapes = { a: ["B", 2], b: ["C", 2] } as const;
  const graph = graphOf("float64", shapes, (g, a, b) => Concat(g, [a!, b!], 0));
  assert.throws(() => vjpGraph(graph, { wrt: ["a"] }), {
    code: "UNIMPLEMENTED",
    message: "The derivative of Concat is not built for an axis whose size is not known",
  });
});

Deno.test("Slice: the gradient has zeros where nothing was taken", async () => {
  for (const [start, end] of [[0, 1], [1, 3], [2, 4], [0, 4]] as const) {
    const graph = graphOf("float64", image, (g, x) => Slice(g, x!, 1, start, end));
    await checkGradients(graph, { x });
  }
});

Deno.test("Split: the gradient is put together again, also where a part was not used", async () => {
  for (const used of [[0, 1], [1]]) {
    const graph = graphOf("float64", image, (g, x) => {
      const parts = Split(g, x!, 1, 2);
      return used.map((i) => parts[i]!).reduce((product, part) => Mul(g, product, part));
    });
    await checkGradients(graph, { x });
  }
  const last = graphOf("float64", { x: ["B", 6] }, (g, x) => Split(g, x!, -1, 3)[2]!);
  await checkGradients(last, { x: random([2, 6], 2) });
});

Deno.test("Gather: a row of the table gets the sum over the places where it was used", async () => {
  const g = new GraphBuilder("gather");
  const table = g.input("table", "float64", [5, 3]);
  g.output("y", Gather(g, table, g.input("ids", "int64", ["B", "L"])));
  // Row 0 is used four times, row 2 never.
  const ids = i64([2, 4], [0, 4, 0, 1, 3, 0, 0, 1]);
  await checkGradients(g.build(), { table: random([5, 3], 1), ids });
});

Deno.test("Resize: the gradient of a pixel is the sum over its copies, to any target size", async () => {
  const g = new GraphBuilder("resize");
  const input = g.input("x", "float32", ["B", 2, "H", "W"]);
  const size = g.input("size", "int64", [2]);
  g.output("y", ResizeNearest(g, input, size, ["TH", "TW"]));
  for (
    const [height, width, th, tw] of [
      [3, 4, 6, 8], // twice
      [3, 4, 5, 7], // one less, where the skip's size was odd
      [3, 4, 6, 7],
      [1, 1, 1, 2],
      [2, 3, 7, 3], // any other
      [4, 5, 2, 3],
    ] as const
  ) {
    const inputs = {
      x: randomFloats("float32", [2, 2, height, width], 3),
      size: i64([2], [th, tw]),
    };
    // Linear, so a long step is right.
    const options = { bindings: { TH: th, TW: tw }, step: 1, tolerance: 1e-6 };
    await checkGradients(g.build(), inputs, options);
  }
});
