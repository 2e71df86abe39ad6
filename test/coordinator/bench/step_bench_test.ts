import assert from "node:assert/strict";
import { benchStep } from "../../../coordinator/bench/step_bench.ts";
import { goldenPath } from "../../support/goldens.ts";

const SIZE = { width: 64, height: 64, batch: 2, threads: 1, matrixSize: 128 };

for (
  const [name, path, blocks] of [
    ["SD1.5", goldenPath("sd15", "expert-a"), 25],
    ["an SDXL U-Net without text encoders", goldenPath("sdxl"), 19],
  ] as const
) {
  Deno.test(`benchStep() times ${name} and tells where the time goes`, async () => {
    const started: number[] = [];
    const report = await benchStep({
      ...SIZE,
      model: path,
      steps: 2,
      onStep: (step) => started.push(step),
    });
    assert.deepEqual(started, [0, 1, 2]);
    assert.equal(report.elapsedMs.length, 2);
    assert.ok(report.firstMs > report.stepMs, "the first step loads the graphs");
    const calls = (op: string) => report.ops.find((row) => row.op === op)?.calls ?? 0;
    assert.ok(calls("Conv") > blocks, `${calls("Conv")} convolutions`);
    assert.ok(calls("MultiHeadAttention") > 0);
    const inOperators = report.ops.reduce((sum, { ms }) => sum + ms, 0);
    assert.ok(inOperators > 0 && report.outsideMs > 0, "operators are a part of the step");
    for (const { kind, ms, flops } of report.kinds) assert.ok(ms > 0 && flops > 0, kind);
    assert.ok(report.stepRate < report.productRate && report.bestRate > 0);
  });
}

Deno.test("benchStep() stops when it is cancelled", async () => {
  const controller = new AbortController();
  const running = benchStep({
    ...SIZE,
    model: goldenPath("sd15", "expert-a"),
    steps: 5,
    signal: controller.signal,
    onStep: (step) => step === 1 && controller.abort(),
  });
  await assert.rejects(running, { code: "CANCELLED" });
});
