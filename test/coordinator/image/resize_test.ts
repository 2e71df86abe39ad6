import assert from "node:assert/strict";
import { resize } from "../../../coordinator/image/resize.ts";

/** One row of gray pixels. */
const row = (...values: number[]) => ({
  width: values.length,
  height: 1,
  rgb: Uint8Array.from(values.flatMap((value) => [value, value, value])),
});

const grays = ({ rgb }: { rgb: Float32Array }) => [...rgb].filter((_, i) => i % 3 === 0);

Deno.test("resize() halves with a triangle over four pixels: 1, 3, 3, 1 eighths", () => {
  const [first, second] = grays(resize(row(0, 0, 80, 160), 2, 1));
  // The outermost weight of each lies beyond the edge; the others share the rest.
  assert.ok(Math.abs(first! - 80 / 7) < 1e-4, `${first}`);
  assert.ok(Math.abs(second! - (0 * 1 + 3 * 80 + 3 * 160) / 7) < 1e-4, `${second}`);
});

Deno.test("resize() enlarges as bilinear interpolation between centres", () => {
  const values = grays(resize(row(0, 100), 4, 1));
  assert.deepEqual(values.map((value) => Math.round(value)), [0, 25, 75, 100]);
});

Deno.test("resize() keeps flat images flat, colours apart, and treats both axes alike", () => {
  const rgb = Uint8Array.from({ length: 5 * 7 * 3 }, (_, i) => [10, 20, 30][i % 3]!);
  const { rgb: flat } = resize({ width: 7, height: 5, rgb }, 3, 2);
  assert.equal(flat.length, 18);
  flat.forEach((value, i) => assert.ok(Math.abs(value - [10, 20, 30][i % 3]!) < 1e-5));
  const wide = grays(resize(row(5, 50, 200, 7, 90), 3, 1));
  const tall = grays(resize({ ...row(5, 50, 200, 7, 90), width: 1, height: 5 }, 1, 3));
  assert.deepEqual(wide, tall);
});

Deno.test("resize() to the same size changes nothing", () => {
  assert.deepEqual(grays(resize(row(1, 2, 3), 3, 1)), [1, 2, 3]);
});
