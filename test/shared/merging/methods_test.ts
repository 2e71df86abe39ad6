import assert from "node:assert/strict";
import { addDifference } from "../../../shared/merging/methods/differences.ts";
import { cosineA, cosineB } from "../../../shared/merging/methods/cosine.ts";
import { modelStock, slerp } from "../../../shared/merging/methods/directions.ts";
import { mergeBlockWeighted, weightedSum, weights } from "../../../shared/merging/methods/sums.ts";
import { ties } from "../../../shared/merging/methods/ties.ts";
import { PIECE_ELEMENTS, type Values } from "../../../shared/merging/values.ts";
import { numbersOf, plainValues } from "./plain_values.ts";

function assertNear(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  expected.forEach((value, i) => {
    assert.ok(Math.abs(actual[i]! - value) < 1e-12, `${i}: ${actual[i]}, expected ${value}`);
  });
}

const models = (...rows: readonly (readonly number[])[]): Values[] =>
  rows.map((row) => plainValues(row));

Deno.test("sums at weight 0 and 1 are the models themselves, whatever the others hold", () => {
  const [a, b, c] = models([1, -0], [NaN, Infinity], [3, 4]) as [Values, Values, Values];
  assert.equal(weightedSum([a, b], { alpha: 0 }), a);
  assert.equal(weightedSum([a, b], { alpha: 1 }), b);
  assert.equal(weights([a, b, c], { weights: [0, 0, 1] }), c);
  assert.equal(mergeBlockWeighted([a, b, c], { mbw: [0, 0] }), a);
  assert.equal(mergeBlockWeighted([a, b, c], { mbw: [0, 1] }), c);
  assert.equal(addDifference([a, b, c], { alpha: 0 }), a);
});

Deno.test("sums go through tensors of several pieces in step", () => {
  const count = PIECE_ELEMENTS * 2 + 3;
  const a = plainValues(Float64Array.from({ length: count }, (_, i) => i));
  const b = plainValues(Float64Array.from({ length: count }, (_, i) => -2 * i));
  const sums = numbersOf(weightedSum([a, b], { alpha: 0.25 }));
  assert.equal(sums.length, count);
  sums.forEach((sum, i) => assert.equal(sum, 0.75 * i - 0.5 * i));
});

Deno.test("slerp() follows the arc: a third of a right angle between perpendicular vectors", () => {
  // Shoemake 1985: on the unit circle the result is the vector at alpha times the angle.
  const [alpha, angle] = [1 / 3, Math.PI / 6];
  const merged = numbersOf(slerp(models([1, 0, 0], [0, 1, 0]), { alpha }));
  assertNear(merged, [Math.cos(angle), Math.sin(angle), 0]);
  // Of vectors of unequal length, only the directions define the angle.
  assertNear(numbersOf(slerp(models([2, 0], [0, 6]), { alpha: 0.5 })), [
    2 * Math.SQRT1_2,
    6 * Math.SQRT1_2,
  ]);
});

Deno.test("slerp() of parallel, opposite and zero tensors is their sum", () => {
  assertNear(numbersOf(slerp(models([1, 2], [2, 4]), { alpha: 0.25 })), [1.25, 2.5]);
  assertNear(numbersOf(slerp(models([1, 2], [-1, -2]), { alpha: 0.25 })), [0.5, 1]);
  // No angle with zero: counted as a right one, which shrinks by the sine.
  assertNear(numbersOf(slerp(models([1, 0], [0, 0]), { alpha: 0.5 })), [Math.SQRT1_2, 0]);
});

Deno.test("modelStock() keeps N cos / (1 + (N - 1) cos) of the mean difference", () => {
  // Two differences of length 2 at 60 degrees: cos 1/2, t = 2 (1/2) / (1 + 1/2) = 2/3.
  const [x, y] = [2 * Math.cos(Math.PI / 3), 2 * Math.sin(Math.PI / 3)];
  const two = numbersOf(modelStock(models([10, 20], [12, 20], [10 + x, 20 + y])));
  assertNear(two, [10 + 2 / 3 * (2 + x) / 2, 20 + 2 / 3 * y / 2]);
  // Three of them, pairwise perpendicular but for one pair that is equal: mean cos 1/3, t = 1 / (5/3) = 3/5.
  const three = numbersOf(modelStock(models([0, 0], [1, 0], [1, 0], [0, 1])));
  assertNear(three, [3 / 5 * 2 / 3, 3 / 5 * 1 / 3]);
});

Deno.test("modelStock() of equal models is that model, of models that disagree the first one", () => {
  assertNear(numbersOf(modelStock(models([1, 1], [3, 5], [3, 5]))), [3, 5]);
  const [base, ...tuned] = models([1, 1], [2, 1], [0, 1]) as [Values, ...Values[]];
  assert.equal(modelStock([base, ...tuned]), base);
});

Deno.test("ties() trims, elects signs by mass, and averages what agrees", () => {
  // The example's three values show each step of the paper's algorithm 1.
  const base = [10, 10, 10, 10];
  const first = [10 + 4, 10 - 3, 10 + 0.1, 10 + 2];
  const second = [10 + 2, 10 + 5, 10 - 0.2, 10 + 1];
  const merged = numbersOf(ties(models(base, first, second), { density: 0.5, lambda: 1 }));
  // Kept of the first: +4 and -3; of the second: +2 and +5.
  assertNear(merged, [10 + 3, 10 + 5, 10, 10]);
  const half = numbersOf(ties(models(base, first, second), { density: 0.5, lambda: 0.5 }));
  assertNear(half, [10 + 1.5, 10 + 2.5, 10, 10]);
});

Deno.test("ties() with all values kept averages per sign; equal ones at the threshold stay together", () => {
  const merged = numbersOf(
    ties(models([0, 0, 0], [1, -2, 3], [3, 1, -3]), { density: 1, lambda: 1 }),
  );
  assertNear(merged, [2, -2, 3]);
  const tied = numbersOf(
    ties(models([0, 0, 0], [1, -1, 1], [1, -1, 0]), { density: 0.34, lambda: 1 }),
  );
  assertNear(tied, [1, -1, 1]);
});

Deno.test("ties() finds the threshold among tiny and huge magnitudes of many pieces", () => {
  const count = PIECE_ELEMENTS + 1000;
  // Magnitudes that differ in the lowest bits only, and from tiny to enormous; as f32, by which values are trimmed.
  const values = Float64Array.from({ length: count }, (_, i) => {
    const magnitude = Math.fround(
      i % 2 === 0 ? 1 + i * 2 ** -23 : 2 ** ((i % 240) - 120),
    );
    return i % 3 === 0 ? -magnitude : magnitude;
  });
  const kept = Math.floor(0.3 * count);
  const threshold = values.map(Math.abs).toSorted().at(-kept)!;
  const zeros = new Float64Array(count);
  const merged = numbersOf(
    ties([zeros, values, values].map((each) => plainValues(each)), { density: 0.3, lambda: 1 }),
  );
  const wrong = merged.findIndex((value, i) =>
    value !== (Math.abs(values[i]!) >= threshold ? values[i] : 0)
  );
  assert.equal(wrong, -1);
});

Deno.test("cosineA() and cosineB() leave a model as it is that is merged with itself", () => {
  const model = plainValues([3, 0, -4, 2, 0, 1], [3, 2]);
  for (const { survey, merge } of [cosineA, cosineB]) {
    const range = survey([[model, model]]);
    assert.deepEqual(numbersOf(merge([model, model], { alpha: 0.5 }, range)), numbersOf(model));
  }
});

Deno.test("cosineB() keeps A's columns that are like B's, and takes B's where they are not", () => {
  // Columns: the same; perpendicular; opposite.
  const a = plainValues([1, 1, 1, 0, 0, 0], [2, 3]);
  const b = plainValues([2, 0, -1, 0, 1, 0], [2, 3]);
  const range = cosineB.survey([[a, b]]);
  const merged = cosineB.merge([a, b], { alpha: 0 }, range);
  const whole = (2 + 0 - 1) / (Math.sqrt(3) * Math.sqrt(6));
  const similarity = [1, 0, -1].map((column) => (column + whole) / 2);
  // What is below the 1st percentile goes: -1's. Then what is above the 99th of the rest: 1's.
  assert.deepEqual(range, { min: similarity[1], max: similarity[1] });
  assert.deepEqual(numbersOf(merged), numbersOf(b));
  const shares = [1, 0.5, 0];
  const wide = { min: similarity[2]!, max: similarity[0]! };
  const mixed = numbersOf(cosineB.merge([a, b], { alpha: 0 }, wide));
  const expected = numbersOf(a).map((value, i) =>
    numbersOf(b)[i]! * (1 - shares[i % 3]!) + value * shares[i % 3]!
  );
  mixed.forEach((value, i) => assert.ok(Math.abs(value - expected[i]!) < 1e-12, `${mixed}`));
  const moved = numbersOf(cosineB.merge([a, b], { alpha: 0.75 }, wide));
  assert.ok(Math.abs(moved[0]! - (2 * 0.75 + 0.25)) < 1e-12, "alpha moves towards B");
});
