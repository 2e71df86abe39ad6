import assert from "node:assert/strict";
import { benchSabw } from "../../../coordinator/bench/sabw_bench.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { SABW_FOLDER } from "../sampling/golden_ensemble.ts";
import { writeSabw, ZERO_CONV_OUT } from "../sampling/methods/sabw_folder.ts";

const SIZE = { width: 64, height: 64, batch: 2, threads: 1 };

const EXPERTS = await (async () => {
  const expert = await openGoldenExpert("a");
  await expert.close();
  return { ...expert.description, numExperts: 2 };
})();

Deno.test("benchSabw() times every aggregator and tells the share of self-attention", async () => {
  const started: number[] = [];
  const report = await benchSabw({
    ...{ ...SIZE, folder: SABW_FOLDER, experts: EXPERTS, steps: 2 },
    onStep: (step) => started.push(step),
  });
  assert.deepEqual(started, [0, 1, 2]);
  assert.deepEqual(
    report.aggregators.map(({ block }) => block),
    EXPERTS.blocks.map(({ id }) => id),
  );
  for (const { block, ms, selfAttentionMs, flops } of report.aggregators) {
    assert.ok(0 < selfAttentionMs && selfAttentionMs < ms && flops > 0, block);
  }
  const flopsOf = (id: string) => report.aggregators.find(({ block }) => block === id)!.flops;
  assert.ok(flopsOf("OUT10") > flopsOf("M00"), "more pixels, more work");
  assert.ok(report.selfAttentionShare > 0 && report.selfAttentionShare < 1);
  assert.equal(report.stepRate, report.flops / (report.stepMs / 1000));
});

Deno.test("benchSabw() refuses an untrained SABW, and stops when it is cancelled", async () => {
  await using temp = await tempFolder();
  const folder = await writeSabw(temp, "zero", ZERO_CONV_OUT);
  await assert.rejects(benchSabw({ ...SIZE, folder, experts: EXPERTS, steps: 1 }), {
    name: "FormatError",
    message: /must be trained: IN00 gives every expert the same weight/,
  });
  const controller = new AbortController();
  const running = benchSabw({
    ...{ ...SIZE, folder: SABW_FOLDER, experts: EXPERTS, steps: 5, signal: controller.signal },
    onStep: (step) => step === 1 && controller.abort(),
  });
  await assert.rejects(running, { code: "CANCELLED" });
});
