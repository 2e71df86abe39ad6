import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import {
  AddScaledMatMul,
  Gemm,
  MatMul,
  MultiHeadAttention,
} from "../../../../shared/onnx/ops/linalg.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { assertClose } from "../../../support/goldens.ts";
import { runGraph } from "../run_graph.ts";

Deno.test("MatMul multiplies the last two axes and broadcasts the others", async () => {
  const g = new GraphBuilder("matmul");
  const a = g.input("a", "float32", ["B", 1, "S", 3]);
  const b = g.input("b", "float32", [2, 3, 2]);
  const y = MatMul(g, a, b);
  assert.deepEqual(y.shape, ["B", 2, "S", 2]);
  g.output("y", y);
  const { y: result } = await runGraph(g.build(), {
    a: f32([1, 1, 1, 3], [1, 2, 3]),
    b: f32([2, 3, 2], [1, 0, 0, 1, 1, 1, 2, 0, 0, 2, 2, 2]),
  });
  assert.deepEqual([...result!.data as Float32Array], [4, 5, 8, 10]);
});

Deno.test("MatMul refuses inner sizes, ranks and dtypes that do not fit", () => {
  const g = new GraphBuilder("matmul");
  const a = g.input("a", "float32", ["B", "S", 3]);
  assert.throws(() => MatMul(g, a, g.input("b", "float32", [4, 2])), {
    name: "ShapeError",
    message: "MatMul needs equal inner sizes: [B,S,3] times [4,2]",
  });
  assert.throws(() => MatMul(g, a, g.input("c", "float32", [3])), ShapeError);
  assert.throws(() => MatMul(g, a, g.input("d", "float32", ["S", 2])), ShapeError);
  assert.throws(() => MatMul(g, a, g.input("e", "float64", [3, 2])), /one dtype/);
});

Deno.test("Gemm takes torch's weights [out, in] and a bias", async () => {
  const g = new GraphBuilder("gemm");
  const x = g.input("x", "float32", ["M", 2]);
  const weight = g.input("weight", "float32", [3, 2]);
  const bias = g.input("bias", "float32", [3]);
  const y = Gemm(g, x, weight, bias);
  assert.deepEqual(y.shape, ["M", 3]);
  g.output("y", y);
  g.output("plain", Gemm(g, x, weight));
  const { y: result, plain } = await runGraph(g.build(), {
    x: f32([1, 2], [1, 10]),
    weight: f32([3, 2], [1, 2, 3, 4, 5, 6]),
    bias: f32([3], [100, 200, 300]),
  });
  assert.deepEqual([...result!.data as Float32Array], [121, 243, 365]);
  assert.deepEqual([...plain!.data as Float32Array], [21, 43, 65]);
});

Deno.test("Gemm refuses weights and biases of other sizes", () => {
  const g = new GraphBuilder("gemm");
  const x = g.input("x", "float32", ["M", 2]);
  const weight = g.input("weight", "float32", [3, 2]);
  assert.throws(() => Gemm(g, x, g.input("odd", "float32", [3, 4])), ShapeError);
  assert.throws(() => Gemm(g, x, weight, g.input("short", "float32", [2])), ShapeError);
});

/** softmax(q k^T / sqrt(headDim)) v per head, in f64. */
function attentionReference(
  query: F32Tensor,
  key: F32Tensor,
  value: F32Tensor,
  heads: number,
): F32Tensor {
  const [batch = 0, queries = 0, width = 0] = query.shape;
  const keys = key.shape[1]!;
  const headDim = width / heads;
  const result = f32(query.shape);
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < heads; head++) {
      const at = (row: number, rows: number, d: number) =>
        (b * rows + row) * width + head * headDim + d;
      for (let q = 0; q < queries; q++) {
        const weights = Array.from({ length: keys }, (_, k) => {
          let dot = 0;
          for (let d = 0; d < headDim; d++) {
            dot += query.data[at(q, queries, d)]! * key.data[at(k, keys, d)]!;
          }
          return Math.exp(dot / Math.sqrt(headDim));
        });
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let d = 0; d < headDim; d++) {
          result.data[at(q, queries, d)] = weights.reduce(
            (sum, weight, k) => sum + weight / total * value.data[at(k, keys, d)]!,
            0,
          );
        }
      }
    }
  }
  return result;
}

Deno.test("MultiHeadAttention is softmax(q k^T / sqrt(headDim)) v, per head", async () => {
  const g = new GraphBuilder("attention");
  const query = g.input("query", "float32", ["B", "S", 12]);
  const key = g.input("key", "float32", ["B", "L", 12]);
  const value = g.input("value", "float32", ["B", "L", 12]);
  for (const heads of [1, 3]) {
    const y = MultiHeadAttention(g, query, key, value, heads);
    assert.deepEqual(y.shape, ["B", "S", 12]);
    g.output(`y${heads}`, y);
  }
  const inputs = {
    query: randomTensor([2, 5, 12], 1),
    key: randomTensor([2, 7, 12], 2),
    value: randomTensor([2, 7, 12], 3),
  };
  const outputs = await runGraph(g.build(), inputs);
  for (const heads of [1, 3]) {
    const expected = attentionReference(inputs.query, inputs.key, inputs.value, heads);
    assertClose(`${heads} heads`, outputs[`y${heads}`] as F32Tensor, expected, 1e-6);
  }
});

Deno.test("MultiHeadAttention refuses keys of another batch or width, and heads that do not divide", () => {
  const g = new GraphBuilder("attention");
  const query = g.input("query", "float32", ["B", "S", 12]);
  const key = g.input("key", "float32", ["B", "L", 12]);
  const narrow = g.input("narrow", "float32", ["B", "L", 8]);
  const single = g.input("single", "float32", [1, "L", 12]);
  const longer = g.input("longer", "float32", ["B", "M", 12]);
  assert.throws(() => MultiHeadAttention(g, query, narrow, narrow, 2), ShapeError);
  assert.throws(() => MultiHeadAttention(g, query, single, single, 2), ShapeError);
  assert.throws(() => MultiHeadAttention(g, query, key, longer, 2), ShapeError);
  assert.throws(() => MultiHeadAttention(g, query, key, key, 5), {
    name: "ShapeError",
    message: "5 heads must divide the width of queries [B,S,12]",
  });
});

Deno.test("AddScaledMatMul adds a scaled product of two matrices", async () => {
  const g = new GraphBuilder("update");
  const [sum, a, b] = [[2, 3], [2, 1], [1, 3]].map((shape, i) =>
    g.input(`x${i}`, "float32", shape)
  );
  g.output("y", AddScaledMatMul(g, sum!, a!, b!, -0.5));
  const { y } = await runGraph(g.build(), {
    x0: f32([2, 3], [1, 2, 3, 4, 5, 6]),
    x1: f32([2, 1], [2, 4]),
    x2: f32([1, 3], [1, 10, 100]),
  });
  assert.deepEqual([...y!.data as Float32Array], [0, -8, -97, 2, -15, -194]);
  for (const [one, two, three] of [[sum, b, a], [a, a, b], [sum, a, a], [b, a, b]] as const) {
    assert.throws(() => AddScaledMatMul(g, one!, two!, three!, 1), ShapeError);
  }
  const f64 = g.input("f64", "float64", [2, 1]);
  assert.throws(() => AddScaledMatMul(g, sum!, f64, b!, 1), /one dtype/);
});
