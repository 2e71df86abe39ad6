import assert from "node:assert/strict";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import {
  spacedTimesteps,
  type TimestepSpacing,
} from "../../../../coordinator/sampling/samplers/spacing.ts";

const spaced = (n: number, timestepSpacing: TimestepSpacing, stepsOffset = 1) =>
  spacedTimesteps(n, { ...DEFAULT_SCHEDULER_CONFIG, timestepSpacing, stepsOffset });

Deno.test("leading: whole strides from the offset", () => {
  assert.deepEqual(spaced(4, "leading"), [751, 501, 251, 1]);
  assert.deepEqual(spaced(4, "leading", 0), [750, 500, 250, 0]);
  assert.deepEqual(spaced(50, "leading").slice(0, 3), [981, 961, 941]);
  assert.equal(spaced(30, "leading")[0], 958);
  assert.deepEqual(spaced(1, "leading"), [1]);
});

Deno.test("leading with every timestep: the offset does not leave the training schedule", () => {
  const all = spaced(1000, "leading");
  assert.deepEqual([all[0], all[1], all[999]], [999, 999, 1]);
});

Deno.test("linspace: first and last timestep, halves rounded to even as numpy does", () => {
  assert.deepEqual(spaced(4, "linspace"), [999, 666, 333, 0]);
  // numpy.linspace(0, 999, 7) = 0, 166.5, 333, 499.5, 666, 832.5, 999
  assert.deepEqual(spaced(7, "linspace"), [999, 832, 666, 500, 333, 166, 0]);
  assert.deepEqual(spaced(1, "linspace"), [0]);
  assert.equal(new Set(spaced(1000, "linspace")).size, 1000);
});

Deno.test("trailing: strides back from the end, halves rounded to even as numpy does", () => {
  assert.deepEqual(spaced(4, "trailing"), [999, 749, 499, 249]);
  // numpy.round(numpy.arange(1000, 0, -62.5)) - 1 for the first five
  assert.deepEqual(spaced(16, "trailing").slice(0, 5), [999, 937, 874, 811, 749]);
  assert.deepEqual(spaced(1, "trailing"), [999]);
});

Deno.test("any spacing gives n timesteps, falling and within the training schedule", () => {
  for (const spacing of ["leading", "linspace", "trailing"] as const) {
    for (const n of [1, 2, 3, 25, 50, 333, 999]) {
      const timesteps = spaced(n, spacing);
      assert.equal(timesteps.length, n);
      assert.ok(
        timesteps.every((t, i) =>
          Number.isInteger(t) && t >= 0 && t < 1000 && (i === 0 || t < timesteps[i - 1]!)
        ),
        `${spacing} ${n}`,
      );
    }
  }
});

Deno.test("spacedTimesteps() refuses counts that are no whole number in 1..1000", () => {
  for (const n of [0, -1, 1.5, NaN, 1001, Infinity]) {
    assert.throws(() => spaced(n, "leading"), {
      name: "UsageError",
      message: `--steps must be a whole number in 1..1000: current value is ${n}`,
    });
  }
});
