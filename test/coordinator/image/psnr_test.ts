import assert from "node:assert/strict";
import { psnr } from "../../../coordinator/image/psnr.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

const SHAPE = [1, 3, 1, 2];
const black = f32(SHAPE, new Array<number>(6).fill(-1));

Deno.test("psnr() is 0 dB between black and white, and 20 dB more for a tenth of that", () => {
  const at = (value: number) => psnr(f32(SHAPE, new Array<number>(6).fill(value)), black);
  assert.equal(at(1), 0);
  assert.ok(Math.abs(at(-0.8) - 20) < 1e-5);
  assert.equal(at(-1), Infinity);
});

Deno.test("psnr() takes the mean over all values, half a step of a picture included", () => {
  const [first, ...others] = [...black.data];
  const one = psnr(f32(SHAPE, [first! + 1 / 255, ...others]), black);
  const all = psnr(f32(SHAPE, black.data.map((value) => value + 1 / 255)), black);
  assert.ok(Math.abs(all - 20 * Math.log10(2 * 255)) < 1e-4);
  assert.ok(Math.abs(one - all - 10 * Math.log10(6)) < 1e-4);
});

Deno.test("psnr() sees no difference beyond black and white, as a picture has none", () => {
  assert.equal(psnr(f32(SHAPE, new Array<number>(6).fill(-3)), black), Infinity);
});

Deno.test("psnr() compares images of one shape", () => {
  const other = f32([1, 3, 2, 1], new Array<number>(6).fill(0));
  assert.throws(() => psnr(other, black), { name: "ShapeError", message: /must have one shape/ });
});
