import assert from "node:assert/strict";
import { RandomValues } from "../../../coordinator/zoo/random_values.ts";
import { type Shape, toFloat32 } from "../../../shared/tensor/tensor.ts";

function values(random: RandomValues, key: string, shape: Shape): number[] {
  return [...random.pieces(key, shape)].flatMap((piece) => [...toFloat32(piece).data]);
}

function meanAndStd(numbers: readonly number[]): { mean: number; std: number } {
  const mean = numbers.reduce((a, b) => a + b) / numbers.length;
  const variance = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / numbers.length;
  return { mean, std: Math.sqrt(variance) };
}

Deno.test("RandomValues: weights spread as 0.8 / sqrt(inputs), norms around 1, biases around 0", () => {
  const random = new RandomValues(3n, "float32");
  const cases = [
    ["conv.weight", [40, 10, 3, 3], 0, 0.8 / Math.sqrt(90)],
    ["linear.weight", [400, 25], 0, 0.8 / 5],
    ["norm.weight", [5000], 1, 0.02],
    ["conv.bias", [5000], 0, 0.02],
  ] as const;
  for (const [key, shape, mean, std] of cases) {
    const numbers = values(random, key, shape);
    assert.equal(numbers.length, shape.reduce((a, b) => a * b, 1));
    const measured = meanAndStd(numbers);
    assert.ok(Math.abs(measured.mean - mean) < 0.06 * std, `${key}: mean ${measured.mean}`);
    assert.ok(Math.abs(measured.std / std - 1) < 0.06, `${key}: std ${measured.std}`);
  }
});

Deno.test("RandomValues: seed and key decide the values, and nothing else does", () => {
  const shape = [64, 8];
  const first = values(new RandomValues(1n, "float32"), "a.weight", shape);
  const again = new RandomValues(1n, "float32");
  values(again, "other.weight", [1000, 3]);
  assert.deepEqual(values(again, "a.weight", shape), first);
  assert.notDeepEqual(values(again, "b.weight", shape), first);
  assert.notDeepEqual(values(new RandomValues(2n, "float32"), "a.weight", shape), first);
});

Deno.test("RandomValues: a tensor longer than the block goes on with other tiles", () => {
  const random = new RandomValues(1n, "float32");
  const shape = [1300, 1000];
  const pieces = [...random.pieces("w.weight", shape)];
  const data = Float32Array.from(pieces.flatMap((piece) => [...toFloat32(piece).data]));
  assert.equal(data.length, 1_300_000);
  const block = 524_287;
  const equal = data.subarray(0, 1000).filter((x, i) => x === data[block + i]).length;
  assert.ok(equal < 10, `${equal} of 1000 values repeat`);
  const rows = new Set(
    Array.from({ length: 1300 }, (_, row) => data.subarray(row * 1000, row * 1000 + 8).join()),
  );
  assert.equal(rows.size, 1300, "no two rows are equal");
});

Deno.test("RandomValues: 16-bit dtypes round the same values", () => {
  const exact = values(new RandomValues(9n, "float32"), "w.weight", [500, 16]);
  for (const [dtype, relative] of [["float16", 2 ** -11], ["bfloat16", 2 ** -8]] as const) {
    const rounded = values(new RandomValues(9n, dtype), "w.weight", [500, 16]);
    rounded.forEach((value, i) => {
      assert.ok(
        Math.abs(value - exact[i]!) <= relative * Math.abs(exact[i]!) + 6e-8,
        `${dtype} ${i}`,
      );
    });
    assert.notDeepEqual(rounded, exact);
  }
});

Deno.test("RandomValues.transposed() is the transpose of the pieces", () => {
  for (const dtype of ["float32", "float16"] as const) {
    const random = new RandomValues(1n, dtype);
    const plain = values(random, "p.weight", [3, 5]);
    const { shape, data } = toFloat32(random.transposed("p.weight", [3, 5]));
    assert.deepEqual(shape, [5, 3]);
    for (let row = 0; row < 3; row++) {
      for (let column = 0; column < 5; column++) {
        assert.equal(data[column * 3 + row], plain[row * 5 + column]);
      }
    }
  }
});
