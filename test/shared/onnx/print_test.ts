import assert from "node:assert/strict";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Conv } from "../../../shared/onnx/ops/convolution.ts";
import { Add } from "../../../shared/onnx/ops/elementwise.ts";
import { ResizeNearest } from "../../../shared/onnx/ops/movement.ts";
import { LayerNormalization } from "../../../shared/onnx/ops/normalization.ts";
import { printGraph } from "../../../shared/onnx/print.ts";
import { f32, i64 } from "../../../shared/tensor/tensor.ts";

const external = { path: "/models/a.safetensors", offset: 100, length: 16 };

Deno.test("printGraph() shows inputs, weights, constants, nodes and outputs, one a line", () => {
  const g = new GraphBuilder("small");
  const x = g.input("x", "float32", ["B", "L", 4]);
  const scale = g.weight("norm.weight", "float32", [4], external);
  const normed = LayerNormalization(g, x, scale, scale, 1e-5);
  g.output("y", Add(g, normed, g.constant(f32([], [1.5]))));
  assert.equal(
    printGraph(g.build()),
    `graph small
  input x: float32 [B, L, 4]
  weight norm.weight: float32 [4]
  constant constant_0: float32 [] = 0000c03f
  layernormalization_0 = LayerNormalization(x, norm.weight, norm.weight) {axis=-1, epsilon=0.00001}
  add_0 = Add(layernormalization_0, constant_0)
  y = Identity(add_0)
  output y: float32 [B, L, 4]
`,
  );
});

Deno.test("printGraph() shows absent inputs, lists and words of attributes, and domains", () => {
  const g = new GraphBuilder("resize");
  const x = g.input("x", "float32", ["B", 4, "H", "W"]);
  const y = ResizeNearest(g, x, g.constant(i64([2], [3, 5])), ["TH", "TW"]);
  g.output("y", Conv(g, y, g.input("w", "float32", [4, 4, 1, 1]), undefined));
  const text = printGraph(g.build());
  assert.match(text, /= Resize\(x, -, -, concat_0\) \{mode=nearest, /);
  assert.match(
    text,
    /= Conv\(resize_0, w\) \{kernel_shape=\[1,1\], strides=\[1,1\], pads=\[0,0,0,0\]\}/,
  );
  assert.match(text, /constant constant_0: int64 \[2\] = 03000000000000000500000000000000\n/);
});

/** One graph in which a test changes one thing. */
function textOf(
  { epsilon = 1e-5, constant = 1, dtype = "float32" as "float32" | "float16", weight = "w" } = {},
): string {
  const g = new GraphBuilder("g");
  const x = g.input("x", "float32", ["B", 4]);
  const long = g.constant(f32([20], new Array(20).fill(constant)));
  const scale = g.constant(f32([4], [1, 1, 1, 1]));
  g.weight(weight, dtype, [dtype === "float32" ? 4 : 8], external);
  g.output("y", LayerNormalization(g, x, scale, scale, epsilon));
  g.output("z", Add(g, long, long));
  return printGraph(g.build());
}

Deno.test("printGraph(): whatever decides the numbers shows, so the text's hash tells graphs apart", () => {
  const base = textOf();
  assert.equal(textOf(), base);
  assert.notEqual(textOf({ epsilon: 1e-6 }), base);
  assert.notEqual(textOf({ constant: 2 }), base, "a long constant, shown by its digest");
  assert.notEqual(textOf({ dtype: "float16" }), base);
  assert.notEqual(textOf({ weight: "v" }), base);
});
