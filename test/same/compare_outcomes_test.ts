import assert from "node:assert/strict";
import { f32, makeTensor } from "../../shared/tensor/tensor.ts";
import { firstDifference, formatDifference } from "./compare_outcomes.ts";
import { amounts, numbers, type Outcome } from "./outcome.ts";

function outcome(): Outcome {
  return {
    pixels: new Map([["a.png", makeTensor("uint8", [2, 1, 3], Uint8Array.of(1, 2, 3, 4, 5, 6))]]),
    latents: new Map([["latents", f32([1, 2, 3], [0, 1, 2, 3, NaN, -Infinity])]]),
    losses: new Map([["step", numbers([0.1, 0.2])]]),
  };
}

Deno.test("firstDifference() finds none between outcomes of the same bits, NaN included", () => {
  assert.equal(firstDifference(outcome(), outcome()), undefined);
});

Deno.test("firstDifference() locates a value by tensor and index, with both values and the extent", () => {
  const current = outcome();
  const data = current.latents!.get("latents")!.data;
  data[2] = 2.5;
  data[3] = 3.25;
  const difference = firstDifference(outcome(), current)!;
  assert.deepEqual(difference, {
    tensor: 'latents "latents"',
    index: [0, 0, 2],
    base: "2",
    current: "2.5",
    differing: 2,
    values: 6,
    maxAbs: 0.5,
  });
  assert.equal(
    formatDifference(difference),
    'latents "latents" [0, 0, 2]: 2 in the base, 2.5 now (2 of 6 values differ, by 0.50 at most)',
  );
});

Deno.test("firstDifference() takes the last bit of a loss for a difference", () => {
  const current = { ...outcome(), losses: new Map([["step", numbers([0.1, 0.2 + 2 ** -55])]]) };
  const { tensor, index, base, current: now } = firstDifference(outcome(), current)!;
  assert.deepEqual([tensor, index, base], ['losses "step"', [1], "0.2"]);
  assert.equal(now, "0.20000000000000004");
});

Deno.test("firstDifference() tells -0 from 0, and one NaN from another by its bits", () => {
  const withFirst = (value: number, position: number) => {
    const current = outcome();
    current.latents!.get("latents")!.data[position] = value;
    return current;
  };
  const zeros = firstDifference(outcome(), withFirst(-0, 0))!;
  assert.deepEqual([zeros.base, zeros.current, zeros.maxAbs], ["0", "-0", 0]);

  const current = outcome();
  const { data } = current.latents!.get("latents")!;
  new DataView(data.buffer).setUint32(16, 0x7fc00001, true);
  const nans = firstDifference(outcome(), current)!;
  assert.deepEqual(nans.index, [0, 1, 1]);
  assert.deepEqual([nans.base, nans.current], ["NaN (0x7fc00000)", "NaN (0x7fc00001)"]);
});

Deno.test("firstDifference() reads 16-bit floats as the numbers that they are", () => {
  const half = (bits: number) => ({
    weights: new Map([["w", makeTensor("float16", [1], Uint16Array.of(bits))]]),
  });
  const { base, current } = firstDifference(half(0x3c00), half(0x3c01))!;
  assert.deepEqual([base, current], ["1", "1.0009765625"]);
});

Deno.test("firstDifference() reports what is missing, is new, or is of another shape or dtype", () => {
  const { pixels, latents, losses } = outcome() as Record<string, Outcome[string]>;
  const reports = [
    firstDifference(outcome(), { pixels: pixels!, losses: losses! }),
    firstDifference({ pixels: pixels!, latents: latents! }, outcome()),
    firstDifference(outcome(), { ...outcome(), losses: new Map([["step", numbers([0.1])]]) }),
    firstDifference(outcome(), { ...outcome(), losses: new Map([["step", f32([2], [0.1, 0.2])]]) }),
  ];
  assert.deepEqual(reports.map((report) => formatDifference(report!)), [
    'latents "latents": float32 [1, 2, 3] in the base, missing now',
    'losses "step": missing in the base, float64 [2] now',
    'losses "step": float64 [2] in the base, float64 [1] now',
    'losses "step": float64 [2] in the base, float32 [2] now',
  ]);
});

Deno.test("amounts() counts tensors and values of each kind", () => {
  assert.deepEqual(amounts(outcome()), {
    pixels: { tensors: 1, values: 6 },
    latents: { tensors: 1, values: 6 },
    losses: { tensors: 1, values: 2 },
  });
});
