import assert from "node:assert/strict";
import { benchLoad } from "../../../coordinator/bench/load_bench.ts";
import { heldBytes } from "../../../coordinator/bench/resident_memory.ts";
import { goldenPath } from "../../support/goldens.ts";

Deno.test({
  name: "benchLoad() measures a real worker",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const phases: string[] = [];
    const report = await benchLoad({
      model: goldenPath("sd15", "expert-a"),
      ...{ width: 64, height: 64, batch: 2, threads: 1 },
      onPhase: (phase) => phases.push(phase),
    });
    assert.deepEqual(phases, [
      "hashing",
      "reading and converting",
      "starting the worker",
      "encoding text",
      "first step",
      "next step",
      "starting the worker",
      "encoding text",
      "first step of a second start",
    ]);
    assert.deepEqual(report.parts, [
      { part: "U-Net", parameters: 820_564, storedBytes: 3_282_256, computeBytes: 3_282_256 },
      { part: "text encoder", parameters: 22_080, storedBytes: 88_320, computeBytes: 88_320 },
    ]);
    assert.ok(report.fileBytes > 3_282_256 + 88_320 && report.fileBytes < 3_600_000);
    assert.ok(report.passes.readMs > 0 && report.passes.convertMs > 0);
    for (
      const ms of [
        report.readyMs,
        report.firstTextMs!,
        report.firstStepMs,
        report.secondStartStepMs,
      ]
    ) {
      assert.ok(ms > 0);
    }
    assert.ok(report.nextStepMs < report.firstStepMs);
    const [ready, after] = [heldBytes(report.readyMemory), heldBytes(report.memory)];
    assert.ok(ready > 10e6 && after > ready && report.peakBytes >= after);
  },
});
