import assert from "node:assert/strict";
import { Lane, type OutputTypes } from "../../../shared/lane/lane.ts";
import { encodeModel } from "../../../shared/onnx/encode.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Add, Mul } from "../../../shared/onnx/ops/elementwise.ts";
import { f32, type Tensor } from "../../../shared/tensor/tensor.ts";
import { testOnGpu } from "../../support/on_gpu.ts";

const GPU = { device: "webgpu", threads: 1 } as const;

/** `y = factor a + a`, under a name that every lane uses. */
function scaling(factor: number) {
  const g = new GraphBuilder("scaling");
  const a = g.input("a", "float32", ["N"]);
  g.output("y", Add(g, Mul(g, a, g.constant(f32([], [factor]))), a));
  return encodeModel(g.build());
}

const LARGE = 1 << 20;

/** `y = x + x + ...` over many elements: a tenth of a second and more on a GPU in software. */
function busy() {
  const g = new GraphBuilder("busy");
  const x = g.input("x", "float32", [LARGE]);
  let sum = x;
  for (let i = 0; i < 50; i++) sum = Add(g, sum, x);
  g.output("y", sum);
  return encodeModel(g.build());
}

const outputOf = (length: number): OutputTypes => ({ y: { dtype: "float32", shape: [length] } });
const numbers = (tensor: Tensor | undefined) => Array.from(tensor!.data as Float32Array);

testOnGpu("lanes on WebGPU share a thread, not their graphs", async () => {
  await using one = new Lane(GPU);
  await using two = new Lane(GPU);
  await Promise.all([one.loadGraph("scaling", scaling(1)), two.loadGraph("scaling", scaling(10))]);
  const calls = [1, 2, 3, 4, 5].flatMap((n) =>
    [one, two].map((lane) => lane.run("scaling", { a: f32([1], [n]) }, outputOf(1)))
  );
  const results = (await Promise.all(calls)).flatMap(({ outputs }) => numbers(outputs.y));
  assert.deepEqual(results, [2, 11, 4, 22, 6, 33, 8, 44, 10, 55]);
});

testOnGpu("a lane on WebGPU that closes leaves the others as they are", async () => {
  await using stays = new Lane(GPU);
  await stays.loadGraph("scaling", scaling(1));
  const goes = new Lane(GPU);
  await goes.loadGraph("scaling", scaling(2));
  await goes[Symbol.asyncDispose]();
  await goes[Symbol.asyncDispose]();
  await assert.rejects(goes.run("scaling", { a: f32([1]) }, outputOf(1)), {
    code: "UNAVAILABLE",
    message: "The compute lane is closed",
  });
  const { outputs } = await stays.run("scaling", { a: f32([2], [1, 2]) }, outputOf(2));
  assert.deepEqual(numbers(outputs.y), [2, 4]);
});

testOnGpu(
  "closing the last lane on WebGPU amid a run waits for it, and a new lane works",
  async () => {
    for (let round = 0; round < 3; round++) {
      const lane = new Lane(GPU);
      await lane.loadGraph("busy", busy());
      const output = { y: { dtype: "float32", shape: [128, 128] } } as const;
      const calls = [1, 2].map(() => lane.run("busy", { x: f32([128, 128]) }, output));
      const closed = lane[Symbol.asyncDispose]();
      for (const call of calls) await assert.rejects(call, { code: "UNAVAILABLE" });
      assert.equal(lane.load, 0);
      await closed;
    }
    await using lane = new Lane(GPU);
    await lane.loadGraph("scaling", scaling(1));
    const { outputs } = await lane.run("scaling", { a: f32([1], [4]) }, outputOf(1));
    assert.deepEqual(numbers(outputs.y), [8]);
  },
);

testOnGpu(
  "outputs land in the caller's memory, inputs are views, no elements are fine",
  async () => {
    await using lane = new Lane(GPU);
    await lane.loadGraph("scaling", scaling(1));
    const buffer = Float32Array.from({ length: 20 }, (_, i) => i);
    for (const [offset, length] of [[0, 1], [3, 7], [5, 15]] as const) {
      const a = f32([length], buffer.subarray(offset, offset + length));
      const { outputs } = await lane.run("scaling", { a }, outputOf(length));
      assert.deepEqual(numbers(outputs.y), [...a.data].map((value) => 2 * value));
    }
    const { outputs } = await lane.run("scaling", { a: f32([0]) }, outputOf(0));
    assert.deepEqual(outputs.y!.shape, [0]);
  },
);

testOnGpu("a run that WebGPU refuses is an error, and the next good one works", async () => {
  await using lane = new Lane(GPU);
  await lane.loadGraph("scaling", scaling(1));
  await assert.rejects(lane.run("scaling", { a: f32([2, 2]) }, outputOf(4)), {
    code: "INTERNAL",
    message: /^ONNX Runtime failed: ./,
  });
  const { outputs } = await lane.run("scaling", { a: f32([1], [3]) }, outputOf(1));
  assert.deepEqual(numbers(outputs.y), [6]);
});
