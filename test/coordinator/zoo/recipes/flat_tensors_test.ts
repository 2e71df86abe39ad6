import assert from "node:assert/strict";
import { FlatTensors } from "../../../../coordinator/zoo/recipes/flat_tensors.ts";
import { addressOf } from "../../../../shared/lane/aligned_memory.ts";
import { f32 } from "../../../../shared/tensor/tensor.ts";

const SHAPES = new Map([["a", [3]], ["b", [2, 20]], ["c", []]]);

Deno.test("FlatTensors: every tensor is a part of the whole, at an aligned address", () => {
  const flat = new FlatTensors(SHAPES);
  const b = flat.tensors.get("b")!;
  b.data.fill(2);
  assert.equal(flat.data.reduce((sum, value) => sum + value, 0), 80);
  for (const tensor of flat.tensors.values()) assert.equal(addressOf(tensor) % 64n, 0n);
  assert.deepEqual(flat.shapes, SHAPES);
});

Deno.test("FlatTensors.set() names what is missing or in another shape", () => {
  const flat = new FlatTensors(SHAPES);
  const values = new Map([["a", f32([3], [1, 2, 3])], ["b", f32([2, 20])], ["c", f32([], [7])]]);
  flat.set(values);
  assert.deepEqual([...flat.tensors.get("a")!.data, ...flat.tensors.get("c")!.data], [1, 2, 3, 7]);
  assert.throws(() => flat.set(new Map([...values, ["b", f32([40])]])), {
    message: `Tensor "b" must have shape [2,20]: current shape is [40]`,
  });
  assert.throws(() => flat.set(new Map()), {
    message: `Tensor "a" must have shape [3]: current shape is none`,
  });
});
