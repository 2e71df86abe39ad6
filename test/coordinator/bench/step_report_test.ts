import assert from "node:assert/strict";
import type { RunProfile } from "../../../coordinator/bench/ort_profile.ts";
import { stepReport } from "../../../coordinator/bench/step_report.ts";

const profile = (record: Record<string, number>): RunProfile =>
  new Map(Object.entries(record).map(([op, ms]) => [op, { calls: 2, ms }]));

const FLOPS = { convolution: 600e6, "matrix product": 300e6, attention: 100e6 };

Deno.test("stepReport() tells the rates of the step whose time is the median", () => {
  const report = stepReport({
    elapsedMs: [90, 20, 10],
    firstMs: 500,
    profiles: [
      profile({ Conv: 80 }),
      profile({ Add: 3, Conv: 5, FusedMatMul: 2, Gemm: 1, MultiHeadAttention: 2 }),
      profile({ Conv: 9 }),
    ],
    flops: FLOPS,
    bestRate: 200e9,
  });
  assert.equal(report.stepMs, 20);
  assert.equal(report.outsideMs, 7);
  assert.deepEqual(report.ops.map(({ op, kind }) => [op, kind]), [
    ["Conv", "convolution"],
    ["Add", undefined],
    ["FusedMatMul", "matrix product"],
    ["MultiHeadAttention", "attention"],
    ["Gemm", "matrix product"],
  ]);
  assert.deepEqual(report.kinds, [
    { kind: "convolution", ms: 5, flops: 600e6 },
    { kind: "matrix product", ms: 3, flops: 300e6 },
    { kind: "attention", ms: 2, flops: 100e6 },
  ]);
  assert.equal(report.flops, 1e9);
  assert.equal(report.productRate, 1e9 / 0.010);
  assert.equal(report.stepRate, 1e9 / 0.020);
});

Deno.test("stepReport() of an even number of steps takes one that was run", () => {
  const report = stepReport({
    elapsedMs: [40, 10, 30, 20],
    firstMs: 50,
    profiles: [40, 10, 30, 20].map((ms) => profile({ Conv: ms / 2 })),
    flops: FLOPS,
    bestRate: 1e9,
  });
  assert.equal(report.stepMs, 20);
  assert.equal(report.kinds[0]!.ms, 10);
});
