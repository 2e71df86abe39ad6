import assert from "node:assert/strict";
import { splitIntoWaves } from "../../../../coordinator/sampling/session/waves.ts";

/** As `start-end` texts. */
const split = (images: number, halves: number, waves: number) =>
  splitIntoWaves(images, halves, waves).map(({ start, end }) => `${start}-${end}`).join(" ");

Deno.test("splitIntoWaves() parts the halves of guidance first, then each half evenly", () => {
  assert.equal(split(1, 2, 1), "0-2");
  assert.equal(split(1, 2, 2), "0-1 1-2");
  assert.equal(split(3, 2, 1), "0-6");
  assert.equal(split(3, 2, 2), "0-3 3-6");
  assert.equal(split(3, 2, 3), "0-2 2-3 3-6");
  assert.equal(split(3, 2, 4), "0-2 2-3 3-5 5-6");
  assert.equal(split(3, 2, 5), "0-1 1-2 2-3 3-5 5-6");
  assert.equal(split(3, 2, 6), "0-1 1-2 2-3 3-4 4-5 5-6");
  assert.equal(split(8, 2, 6), "0-3 3-6 6-8 8-11 11-14 14-16");
});

Deno.test("splitIntoWaves() splits the images of a batch without guidance", () => {
  assert.equal(split(5, 1, 1), "0-5");
  assert.equal(split(5, 1, 2), "0-3 3-5");
  assert.equal(split(5, 1, 3), "0-2 2-4 4-5");
  assert.equal(split(5, 1, 5), "0-1 1-2 2-3 3-4 4-5");
});

Deno.test("splitIntoWaves() makes at most one wave per row, and refuses what is no count", () => {
  assert.equal(split(1, 1, 4), "0-1");
  assert.equal(split(1, 2, 4), "0-1 1-2");
  assert.equal(split(2, 2, 100), "0-1 1-2 2-3 3-4");
  for (const waves of [0, -1, 1.5, NaN, Infinity]) {
    assert.throws(() => splitIntoWaves(2, 2, waves), {
      name: "UsageError",
      message: `waves must be a whole number >= 1: current value is ${waves}`,
    });
  }
});

Deno.test("splitIntoWaves() covers every row once, in order, and no wave is empty", () => {
  for (const halves of [1, 2]) {
    for (let images = 1; images <= 7; images++) {
      for (let waves = 1; waves <= images * halves + 1; waves++) {
        const parts = splitIntoWaves(images, halves, waves);
        assert.equal(parts.length, Math.min(waves, images * halves));
        let row = 0;
        for (const { start, end } of parts) {
          assert.equal(start, row);
          assert.ok(end > start);
          row = end;
        }
        assert.equal(row, images * halves);
      }
    }
  }
});
