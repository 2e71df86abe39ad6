import assert from "node:assert/strict";
import { addressOf, alignedTensor, toAligned } from "../../../shared/lane/aligned_memory.ts";
import { Lane } from "../../../shared/lane/lane.ts";
import { encodeModel } from "../../../shared/onnx/encode.ts";
import { GraphBuilder } from "../../../shared/onnx/graph.ts";
import { Conv } from "../../../shared/onnx/ops/convolution.ts";
import { Softmax } from "../../../shared/onnx/ops/normalization.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";

Deno.test("alignedTensor() begins at a multiple of 64 bytes and is zero, of any dtype and size", () => {
  for (const count of [1, 2, 15, 16, 17, 1000]) {
    for (const dtype of ["float32", "int64", "uint8", "float16"] as const) {
      const tensor = alignedTensor(dtype, [count]);
      assert.equal(addressOf(tensor) % 64n, 0n, `${dtype} [${count}]`);
      assert.ok(
        tensor.data.length === count && Array.from(tensor.data, Number).every((v) => v === 0),
      );
    }
  }
  assert.equal(alignedTensor("float32", [0, 4]).data.length, 0);
});

Deno.test("toAligned() copies a tensor that is not aligned, and only that", () => {
  const aligned = alignedTensor("float32", [8]);
  aligned.data.set([1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(toAligned(aligned), aligned);
  const view = f32([3], aligned.data.subarray(1, 4) as Float32Array<ArrayBuffer>);
  const copy = toAligned(view);
  assert.equal(addressOf(copy) % 64n, 0n);
  assert.deepEqual([...copy.data], [2, 3, 4]);
  aligned.data[1] = 99;
  assert.equal(copy.data[0], 2, "the copy is its own memory");
});

Deno.test("where an input lies does not change a bit of the output", async () => {
  const g = new GraphBuilder("g");
  const x = g.input("x", "float32", [1, 3, 7, 5]);
  const weight = g.input("weight", "float32", [4, 3, 3, 3]);
  g.output("y", Softmax(g, Conv(g, x, weight, undefined, { pads: [1, 1, 1, 1] }), 1));
  await using lane = new Lane({ device: "cpu", threads: 1 });
  await lane.loadGraph("g", encodeModel(g.build()));
  const values = randomTensor([1, 3, 7, 5], 1);
  const weights = randomTensor([4, 3, 3, 3], 2);
  const output = { y: { dtype: "float32", shape: [1, 4, 7, 5] } } as const;
  const { outputs: expected } = await lane.run("g", { x: values, weight: weights }, output);
  const room = new Float32Array(values.data.length + 16);
  for (let offset = 1; offset < 16; offset++) {
    const moved = f32(values.shape, room.subarray(offset, offset + values.data.length));
    moved.data.set(values.data);
    const { outputs } = await lane.run("g", { x: moved, weight: weights }, output);
    assert.ok(bitEqual(outputs.y!.data, expected.y!.data), `${4 * offset} bytes later`);
  }
});
