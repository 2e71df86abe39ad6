import assert from "node:assert/strict";
import { SampleStats } from "../../../coordinator/cli/sample_stats.ts";
import type { SegmentReport } from "../../../coordinator/sampling/ensemble_forward.ts";
import { f32 } from "../../../shared/tensor/tensor.ts";

function report(
  first: string,
  last: string,
  roundTrips: readonly number[],
  firstRow = 0,
): SegmentReport {
  const experts = roundTrips.map((roundTripMs, i) => ({
    ...{ roundTripMs, computeMs: roundTripMs / 2, queueMs: 1, loadMs: 0.5 },
    ...{ plane: i === 1 ? "unix" : "shm", sentBytes: 100, receivedBytes: 250 },
  }));
  const tensors = { features: [], aggregatedFeatures: f32([1]) };
  return { first, last, firstRow, experts, stepIndex: 0, aggregateMs: 3, ...tensors };
}

Deno.test("SampleStats means each block over the steps, of the slowest expert and all bytes", () => {
  const stats = new SampleStats();
  stats.add(report("IN00", "IN00", [4, 10, 2]));
  stats.add(report("IN01", "OUT11", [8]));
  stats.add(report("IN00", "IN00", [20, 1, 1]));
  assert.deepEqual(stats.blocks(), [
    {
      ...{ block: "IN00", computeMs: 7.5, queueMs: 1, loadMs: 0.5, wireMs: 6, aggregateMs: 3 },
      ...{ sentBytes: 300, receivedBytes: 750 },
    },
    {
      ...{
        block: "IN01..OUT11",
        computeMs: 4,
        queueMs: 1,
        loadMs: 0.5,
        wireMs: 2.5,
        aggregateMs: 3,
      },
      ...{ sentBytes: 100, receivedBytes: 250 },
    },
  ]);
  assert.deepEqual(stats.planes(), ["shm", "unix", "shm"]);
  const lines = stats.format().split("\n").map((line) => line.split(/ {2,}/));
  assert.deepEqual(lines[0]!.slice(0, 3), ["block", "compute ms", "queue ms"]);
  assert.deepEqual(lines.at(-1), [
    "step",
    "11.50",
    "2.00",
    "1.00",
    "8.50",
    "6.00",
    "400 B",
    "1.0 kB",
  ]);
});

Deno.test("SampleStats sums up the waves of a step and means over the steps", () => {
  const stats = new SampleStats();
  for (const roundTripMs of [4, 8]) {
    stats.add(report("IN00", "IN00", [roundTripMs], 2));
    stats.add(report("IN00", "IN00", [roundTripMs, 1], 0));
  }
  assert.deepEqual(stats.blocks(), [{
    ...{ block: "IN00", computeMs: 6, queueMs: 2, loadMs: 1, wireMs: 3, aggregateMs: 6 },
    ...{ sentBytes: 300, receivedBytes: 750 },
  }]);
});
