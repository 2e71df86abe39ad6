import assert from "node:assert/strict";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import {
  Add,
  Cast,
  Div,
  Erf,
  Exp,
  Gelu,
  Mul,
  Sigmoid,
  Sqrt,
  Sub,
} from "../../../../shared/onnx/ops/elementwise.ts";
import { bfloat16ToFloat32 } from "../../../../shared/tensor/half.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { runGraph } from "../run_graph.ts";

/** erf by its Taylor series, in f64: exact to 1e-12 for |x| < 3. */
function erf(x: number): number {
  let term = x, sum = x;
  for (let n = 1; n < 80; n++) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return 2 / Math.sqrt(Math.PI) * sum;
}

function assertNear(actual: ArrayLike<number>, expected: readonly number[]): void {
  expected.forEach((value, i) => {
    assert.ok(Math.abs(actual[i]! - value) < 1e-6, `${i}: ${actual[i]} is not ${value}`);
  });
}

Deno.test("Add, Sub, Mul and Div broadcast and compute as numpy does", async () => {
  const g = new GraphBuilder("binary");
  const a = g.input("a", "float32", ["B", 3]);
  const b = g.input("b", "float32", [3]);
  g.output("sum", Add(g, a, b));
  g.output("difference", Sub(g, b, a));
  g.output("product", Mul(g, a, b));
  g.output("quotient", Div(g, b, a));
  const outputs = await runGraph(g.build(), {
    a: f32([2, 3], [1, 2, 4, 8, 16, 32]),
    b: f32([3], [1, 2, 3]),
  });
  assert.deepEqual([...outputs.sum!.data as Float32Array], [2, 4, 7, 9, 18, 35]);
  assert.deepEqual([...outputs.difference!.data as Float32Array], [0, 0, -1, -7, -14, -29]);
  assert.deepEqual([...outputs.product!.data as Float32Array], [1, 4, 12, 8, 32, 96]);
  assert.deepEqual([...outputs.quotient!.data as Float32Array], [
    1,
    1,
    0.75,
    0.125,
    0.125,
    0.09375,
  ]);
});

Deno.test("Sigmoid is 1 / (1 + e^-x); Gelu is the exact one, not the tanh approximation", async () => {
  const g = new GraphBuilder("unary");
  const x = g.input("x", "float32", ["N"]);
  g.output("sigmoid", Sigmoid(g, x));
  g.output("gelu", Gelu(g, x));
  const values = [-2.5, -1, -0.25, 0, 0.5, 1, 2.5];
  const outputs = await runGraph(g.build(), { x: f32([values.length], values) });
  const [sigmoid, gelu] = [outputs.sigmoid!.data, outputs.gelu!.data] as Float32Array[];
  assertNear(sigmoid!, values.map((v) => 1 / (1 + Math.exp(-v))));
  assertNear(gelu!, values.map((v) => v / 2 * (1 + erf(v / Math.SQRT2))));
  const tanhGelu = (v: number) =>
    v / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
  assert.ok(Math.abs(gelu![5]! - tanhGelu(1)) > 1e-4, "the two GELUs can be told apart here");
});

Deno.test("Erf, Exp and Sqrt are what they are called", async () => {
  const g = new GraphBuilder("functions");
  const x = g.input("x", "float32", ["N"]);
  for (const [name, op] of Object.entries({ Erf, Exp, Sqrt })) g.output(name, op(g, x));
  const values = [0, 0.25, 1, 2.5];
  const outputs = await runGraph(g.build(), { x: f32([values.length], values) });
  const of = (name: string) => (outputs[name] as F32Tensor).data;
  assertNear(of("Erf"), values.map(erf));
  assertNear(of("Exp").map(Math.log), values);
  assertNear(of("Sqrt"), values.map(Math.sqrt));
});

Deno.test("Cast widens, and leaves a value of the wanted dtype as it is", async () => {
  const g = new GraphBuilder("cast");
  const bits = new Uint16Array([0x3f80, 0xc040, 0x3eab]);
  const stored = g.constant({ dtype: "bfloat16", shape: [3], data: bits });
  const widened = Cast(g, stored, "float32", 1);
  assert.deepEqual([widened.dtype, widened.shape], ["float32", [3]]);
  assert.equal(Cast(g, widened, "float32", 1), widened);
  g.output("widened", widened);
  const { widened: result } = await runGraph(g.build(), {});
  assert.deepEqual((result as F32Tensor).data, bfloat16ToFloat32(bits));
});

Deno.test("Add refuses shapes that do not broadcast and dtypes that differ", () => {
  const g = new GraphBuilder("refusals");
  const image = g.input("image", "float32", ["B", 4, "H", "W"]);
  const other = g.input("other", "float32", ["B", 3, "H", "W"]);
  const ids = g.input("ids", "int64", [4, 1, 1]);
  assert.throws(() => Add(g, image, other), {
    name: "ShapeError",
    message: "Add cannot broadcast [B,4,H,W] with [B,3,H,W]: axis 1 differs",
  });
  assert.throws(() => Add(g, image, ids), {
    name: "ShapeError",
    message: "Add needs one dtype: float32 [B, 4, H, W] and int64 [4, 1, 1]",
  });
});
