import assert from "node:assert/strict";
import { SD15_UNET, SD15_VAE, SDXL_UNET } from "../../../shared/models/config/known_configs.ts";
import { ShapeError } from "../../../shared/errors.ts";
import { sizeAtScale } from "../../../shared/models/blocks.ts";
import type { UNetConfig } from "../../../shared/models/config/unet_config.ts";
import { unetBlockGraph } from "../../../shared/models/unet/block_graph.ts";
import { unetBlockTable } from "../../../shared/models/unet/block_table.ts";
import { vaeDecoderGraph } from "../../../shared/models/vae.ts";
import { Weights } from "../../../shared/models/weights.ts";
import { addFlops, type FlopCounts, flopKind, graphFlops } from "../../../shared/onnx/flops.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Conv } from "../../../shared/onnx/ops/convolution.ts";
import { Add, Mul } from "../../../shared/onnx/ops/elementwise.ts";
import { Gemm, MatMul, MultiHeadAttention } from "../../../shared/onnx/ops/linalg.ts";
import type { OpName } from "../../../shared/onnx/op_name.ts";
import { vjpGraph } from "../../../shared/onnx/vjp.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

const sizes = (record: Record<string, number>) => new Map(Object.entries(record));

Deno.test("graphFlops() of a convolution: 2 per weight and output pixel", () => {
  const g = new GraphBuilder("g");
  const x = g.input("x", "float32", ["B", 3, "H", "W"]);
  const weight = g.constant(f32([5, 3, 3, 3]));
  g.output("y", Conv(g, x, weight, g.constant(f32([5])), { stride: 2, pads: [1, 1, 1, 1] }));
  const { convolution, attention } = graphFlops(g.build(), sizes({ B: 2, H: 9, W: 8 }));
  assert.equal(convolution, 2 * (5 * 3 * 3 * 3) * (2 * 5 * 4));
  assert.equal(attention, 0);
});

Deno.test("graphFlops() of a derivative: a transposed convolution takes as many as the convolution", () => {
  const g = new GraphBuilder("g");
  const x = g.input("x", "float32", ["B", 3, "H", "W"]);
  const weight = g.constant(f32([5, 3, 3, 3]));
  g.output("y", Conv(g, x, weight, undefined, { stride: 2, pads: [1, 1, 1, 1] }));
  const graph = g.build();
  const bound = { B: 2, H: 9, W: 8 };
  const output = { "(floor((H-1)/2)+1)": 5, "(floor((W-1)/2)+1)": 4 };
  const backward = graphFlops(vjpGraph(graph, { wrt: ["x"] }), sizes({ ...bound, ...output }));
  assert.deepEqual(backward, graphFlops(graph, sizes(bound)));
});

Deno.test("graphFlops() of matrix products: 2 M N K, per batch", () => {
  const g = new GraphBuilder("g");
  const a = g.input("a", "float32", ["B", 4, "M", 6]);
  const b = g.input("b", "float32", ["B", 4, 6, 5]);
  g.output("y", MatMul(g, a, b));
  const rows = g.input("rows", "float32", ["M", 8]);
  g.output("z", Gemm(g, rows, g.constant(f32([10, 8])), g.constant(f32([10]))));
  const counts = graphFlops(g.build(), sizes({ B: 2, M: 7 }));
  assert.equal(counts["matrix product"], 2 * 2 * 4 * 7 * 5 * 6 + 2 * 7 * 10 * 8);
});

Deno.test("graphFlops() of attention: the two products, over all heads", () => {
  const g = new GraphBuilder("g");
  const query = g.input("q", "float32", ["B", "S", 12]);
  const [key, value] = ["k", "v"].map((name) => g.input(name, "float32", ["B", "L", 12]));
  g.output("y", MultiHeadAttention(g, query, key!, value!, 3));
  const { attention } = graphFlops(g.build(), sizes({ B: 2, S: 10, L: 7 }));
  assert.equal(attention, 2 * (2 * 2 * 10 * 7 * 12));
});

Deno.test("graphFlops() counts nothing for elementwise work and for products of constants", () => {
  const g = new GraphBuilder("g");
  const x = g.input("x", "float32", ["B", 4]);
  const merged = MatMul(g, g.constant(f32([4, 2])), g.constant(f32([2, 4])));
  g.output("y", Mul(g, x, Add(g, x, x)));
  g.output("z", MatMul(g, x, merged));
  const counts = graphFlops(g.build(), sizes({ B: 3 }));
  assert.deepEqual(counts, { convolution: 0, "matrix product": 2 * 3 * 4 * 4, attention: 0 });
});

Deno.test("graphFlops() refuses a product that it has no rule for, and a symbol without size", () => {
  const g = new GraphBuilder("g");
  const x = g.input("x", "float32", ["B", 4]);
  g.output(
    "y",
    g.node("FusedMatMul" as OpName, [x, x], [{ dtype: "float32", shape: ["B", 4] }])[0]!,
  );
  assert.throws(() => graphFlops(g.build(), sizes({ B: 1 })), /FusedMatMul of graph "g" must have/);
  const h = new GraphBuilder("h");
  const a = h.input("a", "float32", ["M", 4]);
  h.output("y", MatMul(h, a, h.constant(f32([4, 4]))));
  assert.throws(() => graphFlops(h.build(), sizes({})), ShapeError);
});

Deno.test("flopKind() knows the operators that ONNX Runtime fuses ours to", () => {
  for (
    const [op, kind] of [
      ["FusedConv", "convolution"],
      ["FusedGemm", "matrix product"],
      ["FusedMatMul", "matrix product"],
      ["MultiHeadAttention", "attention"],
      ["QuickGelu", undefined],
      ["ReorderInput", undefined],
    ] as const
  ) {
    assert.equal(flopKind(op), kind, op);
  }
});

/** Of one U-Net call with one row and a text of 77 tokens. */
function unetFlops(config: UNetConfig, latentSize: number): FlopCounts {
  const weights = Weights.of(new Map());
  return unetBlockTable(config).map((block) => {
    const [size, target] = [block.inScale, block.outScale].map((s) => sizeAtScale(latentSize, s));
    const graph = unetBlockGraph(block, config, weights);
    return graphFlops(graph, sizes({ B: 1, H: size!, W: size!, L: 77, TH: target!, TW: target! }));
  }).reduce(addFlops);
}

Deno.test("SD1.5's U-Net takes the 339 G multiply-adds that are published, and attention's products", () => {
  // BK-SDM (Kim et al. 2023, arXiv 2305.15798) at 512 px; a profiler of modules sees no products in between.
  const { convolution, "matrix product": product, attention } = unetFlops(SD15_UNET, 64);
  assert.ok(Math.abs((convolution + product) / 2 / 339e9 - 1) < 2e-3);
  // Per level: channels, pixels and number of attentions; self-attention and 77 tokens of text.
  const perPixels = (c: number, n: number) => 4 * c * n * (n + 77);
  const levels = [[320, 4096, 5], [640, 1024, 5], [1280, 256, 5], [1280, 64, 1]] as const;
  assert.equal(attention, levels.reduce((sum, [c, n, k]) => sum + k * perPixels(c, n), 0));
});

Deno.test("twice the latent's side takes four times the convolutions", () => {
  const [small, large] = [unetFlops(SDXL_UNET, 32), unetFlops(SDXL_UNET, 64)];
  assert.equal(large.convolution, 4 * small.convolution);
  assert.ok(large.attention > 8 * small.attention && large.attention < 16 * small.attention);
});

Deno.test("both attention lowerings count the same products", () => {
  const weights = Weights.of(new Map());
  const at = sizes({ B: 1, H: 8, W: 8 });
  const [fused, primitive] = (["fused", "primitive"] as const).map((lowering) =>
    graphFlops(vaeDecoderGraph(SD15_VAE, weights, lowering), at)
  );
  assert.ok(fused!.attention > 0 && primitive!.attention === 0);
  assert.equal(primitive!["matrix product"], fused!.attention + fused!["matrix product"]);
  assert.equal(primitive!.convolution, fused!.convolution);
});
