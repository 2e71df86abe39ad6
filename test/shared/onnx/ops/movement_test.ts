import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { GraphBuilder, type Value } from "../../../../shared/onnx/graph.ts";
import {
  Concat,
  Flip,
  Gather,
  Pad,
  Reshape,
  ReshapeLike,
  ResizeNearest,
  ShapeOf,
  Slice,
  Split,
  Transpose,
  UnflattenPixels,
} from "../../../../shared/onnx/ops/movement.ts";
import { f32, i64, type Tensor } from "../../../../shared/tensor/tensor.ts";
import { runGraph } from "../run_graph.ts";

const numbers = (tensor: Tensor | undefined) => Array.from(tensor!.data as Float32Array, Number);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** A builder with one f32 input `x`. */
function graphOf(shape: readonly (number | string)[]): { g: GraphBuilder; x: Value } {
  const g = new GraphBuilder("movement");
  return { g, x: g.input("x", "float32", shape) };
}

Deno.test("Reshape copies axes with 0, infers -1, and divides symbols", async () => {
  const { g, x } = graphOf(["B", 4, "H", "W"]);
  const grouped = Reshape(g, x, [0, 2, -1]);
  assert.deepEqual(grouped.shape, ["B", 2, "2*H*W"]);
  assert.deepEqual(Reshape(g, x, [0, 2, 2, 1, -1]).shape, ["B", 2, 2, 1, "H*W"]);
  assert.deepEqual(Reshape(g, x, [-1]).shape, ["4*B*H*W"]);
  g.output("grouped", grouped);
  g.output("again", ReshapeLike(g, grouped, x));
  const data = f32([1, 4, 3, 1], upTo(12));
  const { grouped: flat, again } = await runGraph(g.build(), { x: data });
  assert.deepEqual(flat!.shape, [1, 2, 6]);
  assert.deepEqual([numbers(flat), numbers(again), again!.shape], [upTo(12), upTo(12), data.shape]);
});

Deno.test("Reshape refuses sizes that do not multiply to the input's", () => {
  const { g, x } = graphOf(["B", 4, "H", "W"]);
  for (
    const dims of [
      [0, 3, -1], // 3 does not divide 4
      [0, 4], // H*W is left over
      [0, -1, -1],
      [0, 0, 0, 0, 0], // a fifth axis to copy is not there
      [0, -2, 2],
      [0, 2.5, -1],
    ]
  ) {
    assert.throws(() => Reshape(g, x, dims), ShapeError, `[${dims}]`);
  }
  const image = g.input("image", "float32", ["B", 4, "W", "H"]);
  const wider = g.input("wider", "float32", ["B", 8, "H", "W"]);
  assert.throws(() => ReshapeLike(g, x, wider), /Cannot reshape|cannot take/);
  assert.deepEqual(ReshapeLike(g, x, image).shape, image.shape);
});

Deno.test("UnflattenPixels gives rows of pixels the height and width of an image", async () => {
  const { g, x } = graphOf(["B", 4, "H", "W"]);
  const pixels = g.input("pixels", "float32", ["B", 2, "H*W"]);
  const image = UnflattenPixels(g, pixels, x);
  assert.deepEqual(image.shape, ["B", 2, "H", "W"]);
  g.output("image", image);
  const inputs = { x: f32([1, 4, 3, 2]), pixels: f32([1, 2, 6], upTo(12)) };
  const run = await runGraph(g.build(), inputs);
  assert.deepEqual([run.image!.shape, numbers(run.image)], [[1, 2, 3, 2], upTo(12)]);
  assert.throws(() => UnflattenPixels(g, image, x), ShapeError);
  const other = g.input("other", "float32", ["B", 2, "H"]);
  assert.throws(() => UnflattenPixels(g, other, x), ShapeError);
});

Deno.test("Transpose permutes sizes and elements, and refuses what is no permutation", async () => {
  const { g, x } = graphOf(["B", 2, 3]);
  const y = Transpose(g, x, [2, 0, 1]);
  assert.deepEqual(y.shape, [3, "B", 2]);
  for (const perm of [[0, 1], [0, 1, 1], [0, 1, 3], [0, 1, 2, 3]]) {
    assert.throws(() => Transpose(g, x, perm), ShapeError, `[${perm}]`);
  }
  g.output("y", y);
  const { y: result } = await runGraph(g.build(), { x: f32([1, 2, 3], upTo(6)) });
  assert.deepEqual(numbers(result), [0, 3, 1, 4, 2, 5]);
});

Deno.test("Concat and Split are inverse on channels", async () => {
  const { g, x } = graphOf(["B", 4, "H"]);
  const parts = Split(g, x, 1, 2);
  assert.deepEqual(parts.map(({ shape }) => shape), [["B", 2, "H"], ["B", 2, "H"]]);
  const swapped = Concat(g, [parts[1]!, parts[0]!, x], 1);
  assert.deepEqual(swapped.shape, ["B", 8, "H"]);
  g.output("swapped", swapped);
  const { swapped: result } = await runGraph(g.build(), { x: f32([1, 4, 2], upTo(8)) });
  assert.deepEqual(numbers(result), [4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("Split cuts the last axis by a negative number; Concat adds symbols", async () => {
  const { g, x } = graphOf(["B", 4]);
  const [value, gate] = Split(g, x, -1, 2);
  assert.deepEqual([value!.shape, gate!.shape], [["B", 2], ["B", 2]]);
  const rows = Concat(g, [gate!, value!], 0);
  assert.deepEqual(rows.shape, ["(B+B)", 2]);
  g.output("rows", rows);
  const { rows: result } = await runGraph(g.build(), { x: f32([1, 4], upTo(4)) });
  assert.deepEqual([result!.shape, numbers(result)], [[2, 2], [2, 3, 0, 1]]);
});

Deno.test("Concat and Split refuse what does not fit", () => {
  const { g, x } = graphOf(["B", 4, "H"]);
  const ids = g.input("ids", "int64", ["B", 4, "H"]);
  const taller = g.input("taller", "float32", ["B", 4, "T"]);
  assert.throws(() => Concat(g, [], 0), ShapeError);
  assert.throws(() => Concat(g, [x, taller], 1), /Concat on axis 1 of \[B,4,H\] and \[B,4,T\]/);
  assert.throws(() => Concat(g, [x, ids], 1), /Concat needs one dtype/);
  assert.throws(() => Concat(g, [x, x], 3), ShapeError);
  assert.throws(() => Concat(g, [x, x], -1), ShapeError);
  assert.throws(() => Split(g, x, 1, 3), /Cannot split axis 1 of \[B,4,H\] into 3 equal parts/);
  assert.throws(() => Split(g, x, 2, 2), ShapeError, "H is not known");
});

Deno.test("Slice takes a range of a known axis", async () => {
  const { g, x } = graphOf(["B", 5]);
  const y = Slice(g, x, 1, 1, 4);
  assert.deepEqual(y.shape, ["B", 3]);
  for (const [axis, start, end] of [[1, 2, 2], [1, -1, 2], [1, 0, 6], [0, 0, 1], [2, 0, 1]]) {
    assert.throws(() => Slice(g, x, axis!, start!, end!), ShapeError, `${axis}: ${start}..${end}`);
  }
  g.output("y", y);
  const { y: result } = await runGraph(g.build(), { x: f32([2, 5], upTo(10)) });
  assert.deepEqual(numbers(result), [1, 2, 3, 6, 7, 8]);
});

Deno.test("Pad puts zeros around, Flip turns axes round", async () => {
  const { g, x } = graphOf(["B", 2, 3]);
  const padded = Pad(g, x, [0, 1, 0], [0, 0, 2]);
  assert.deepEqual(padded.shape, ["B", 3, 5]);
  assert.deepEqual(Pad(g, x, [1, 0, 0], [0, 0, 0]).shape, ["(B+1)", 2, 3]);
  g.output("padded", padded);
  g.output("flipped", Flip(g, x, [1, 2]));
  const outputs = await runGraph(g.build(), { x: f32([1, 2, 3], [1, 2, 3, 4, 5, 6]) });
  const zeros = [0, 0, 0, 0, 0];
  assert.deepEqual(numbers(outputs.padded), [...zeros, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0]);
  assert.deepEqual(numbers(outputs.flipped), [6, 5, 4, 3, 2, 1]);
  assert.throws(() => Pad(g, x, [0, 0], [0, 0, 0]), ShapeError);
  assert.throws(() => Pad(g, x, [0, 0, 0], [0, 0, -1]), ShapeError);
  assert.throws(() => Flip(g, x, [3]), ShapeError);
});

Deno.test("Gather looks rows up, ShapeOf tells the run's sizes", async () => {
  const { g, x } = graphOf([3, 2]);
  const ids = g.input("ids", "int64", ["B", 4]);
  const rows = Gather(g, x, ids);
  assert.deepEqual(rows.shape, ["B", 4, 2]);
  assert.deepEqual([ShapeOf(g, ids).dtype, ShapeOf(g, ids).shape], ["int64", [2]]);
  g.output("rows", rows);
  g.output("shape", ShapeOf(g, ids));
  const outputs = await runGraph(g.build(), {
    x: f32([3, 2], upTo(6)),
    ids: i64([1, 4], [2, 0, 1, 2]),
  });
  assert.deepEqual(numbers(outputs.rows), [4, 5, 0, 1, 2, 3, 4, 5]);
  assert.deepEqual(numbers(outputs.shape), [1, 4]);
});

Deno.test("ResizeNearest takes source pixel floor(i in / out), for odd sizes too", async () => {
  const { g, x } = graphOf(["B", 1, "H", "W"]);
  const size = g.input("size", "int64", [2]);
  const y = ResizeNearest(g, x, size, ["TH", "TW"]);
  assert.deepEqual(y.shape, ["B", 1, "TH", "TW"]);
  g.output("y", y);
  for (const [inH, inW, outH, outW] of [[1, 3, 2, 6], [3, 2, 5, 3], [2, 1, 3, 2]] as const) {
    const { y: result } = await runGraph(g.build(), {
      x: f32([1, 1, inH, inW], upTo(inH * inW)),
      size: i64([2], [outH, outW]),
    }, { TH: outH, TW: outW });
    const expected = upTo(outH * outW).map((i) => {
      const [row, column] = [Math.floor(i / outW), i % outW];
      return Math.floor(row * inH / outH) * inW + Math.floor(column * inW / outW);
    });
    assert.deepEqual(numbers(result), expected, `${inH}x${inW} to ${outH}x${outW}`);
  }
});

Deno.test("ResizeNearest refuses other ranks and dtypes", () => {
  const { g, x } = graphOf(["B", 1, "H", "W"]);
  const floats = g.input("floats", "float32", [2]);
  const three = g.input("three", "int64", [3]);
  const row = g.input("row", "float32", ["B", 1, "W"]);
  const two = g.input("two", "int64", [2]);
  assert.throws(() => ResizeNearest(g, x, floats, ["TH", "TW"]), ShapeError);
  assert.throws(() => ResizeNearest(g, x, three, ["TH", "TW"]), ShapeError);
  assert.throws(() => ResizeNearest(g, row, two, ["TH", "TW"]), ShapeError);
});
