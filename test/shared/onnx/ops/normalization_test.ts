import assert from "node:assert/strict";
import { ShapeError } from "../../../../shared/errors.ts";
import { GraphBuilder } from "../../../../shared/onnx/graph.ts";
import {
  InstanceNormalization,
  LayerNormalization,
  Softmax,
} from "../../../../shared/onnx/ops/normalization.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { assertClose } from "../../../support/goldens.ts";
import { runGraph } from "../run_graph.ts";

const EPSILON = 0.01; // Large enough to be seen in the numbers.

/** `(x - mean) / sqrt(variance + epsilon)` of consecutive runs of `length`. */
function normalizeRuns(x: F32Tensor, length: number): F32Tensor {
  const result = f32(x.shape);
  for (let start = 0; start < x.data.length; start += length) {
    const run = x.data.subarray(start, start + length);
    const mean = run.reduce((sum, v) => sum + v, 0) / length;
    const variance = run.reduce((sum, v) => sum + (v - mean) ** 2, 0) / length;
    run.forEach((v, i) => result.data[start + i] = (v - mean) / Math.sqrt(variance + EPSILON));
  }
  return result;
}

Deno.test("InstanceNormalization normalises each channel over its pixels, then scales it", async () => {
  const g = new GraphBuilder("instance");
  const x = g.input("x", "float32", ["B", 2, "S"]);
  const scale = g.input("scale", "float32", [2]);
  const bias = g.input("bias", "float32", [2]);
  const y = InstanceNormalization(g, x, scale, bias, EPSILON);
  assert.deepEqual(y.shape, x.shape);
  g.output("y", y);
  const input = randomTensor([2, 2, 5], 4);
  const outputs = await runGraph(g.build(), {
    x: input,
    scale: f32([2], [2, -3]),
    bias: f32([2], [0.5, 1]),
  });
  const expected = normalizeRuns(input, 5);
  expected.data.forEach((v, i) =>
    expected.data[i] = Math.floor(i / 5) % 2 === 0 ? 2 * v + 0.5 : -3 * v + 1
  );
  assertClose("y", outputs.y as F32Tensor, expected, 1e-6);
});

Deno.test("LayerNormalization normalises the last axis, Softmax sums to 1 over its axis", async () => {
  const g = new GraphBuilder("layer");
  const x = g.input("x", "float32", ["B", "L", 4]);
  const scale = g.input("scale", "float32", [4]);
  const bias = g.input("bias", "float32", [4]);
  g.output("y", LayerNormalization(g, x, scale, bias, EPSILON));
  g.output("last", Softmax(g, x, -1));
  g.output("tokens", Softmax(g, x, 1));
  const input = randomTensor([2, 3, 4], 5);
  const outputs = await runGraph(g.build(), {
    x: input,
    scale: f32([4], [1, 2, 3, 4]),
    bias: f32([4], [0, 0, 0, 9]),
  });
  const expected = normalizeRuns(input, 4);
  expected.data.forEach((v, i) => expected.data[i] = v * (i % 4 + 1) + (i % 4 === 3 ? 9 : 0));
  assertClose("y", outputs.y as F32Tensor, expected, 1e-6);
  const { last, tokens } = outputs as Record<string, F32Tensor>;
  const sum = (data: Float32Array, indices: number[]) =>
    indices.reduce((total, i) => total + data[i]!, 0);
  assert.ok(Math.abs(sum(last!.data, [0, 1, 2, 3]) - 1) < 1e-6);
  assert.ok(Math.abs(sum(tokens!.data, [0, 4, 8]) - 1) < 1e-6);
  assert.ok(last!.data[0]! > 0 && last!.data[0] !== tokens!.data[0]);
});

Deno.test("Normalisations refuse scales and biases of other sizes", () => {
  const g = new GraphBuilder("refusals");
  const x = g.input("x", "float32", ["B", 2, 4]);
  const [two, four] = [g.input("two", "float32", [2]), g.input("four", "float32", [4])];
  assert.throws(() => InstanceNormalization(g, x, four, four, 1e-5), ShapeError);
  assert.throws(() => InstanceNormalization(g, x, two, four, 1e-5), ShapeError);
  assert.throws(() => LayerNormalization(g, x, two, two, 1e-5), ShapeError);
  assert.throws(() => LayerNormalization(g, x, four, two, 1e-5), ShapeError);
  const halves = g.input("halves", "float16", [4]);
  assert.throws(() => LayerNormalization(g, x, halves, halves, 1e-5), /one dtype/);
});
