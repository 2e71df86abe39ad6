import assert from "node:assert/strict";
import { benchPlane } from "../../../coordinator/bench/plane_bench.ts";

Deno.test("benchPlane() times every size over every plane that is asked for", async () => {
  const counted: number[] = [];
  const rows = await benchPlane({ runs: 3, onRun: (run) => counted.push(run) });
  assert.deepEqual(counted.filter((run) => run >= 0), [0, 1, 2]);
  const names = rows.map(({ plane, size }) => `${plane}.${size}`).sort();
  const sizes = ["0.33MB", "10MB", "64B"];
  assert.deepEqual(names, ["shm", "tcp", "unix"].flatMap((p) => sizes.map((s) => `${p}.${s}`)));
  for (const { bestMs, p10Ms, medianMs, p90Ms } of rows) {
    assert.ok(0 < bestMs && bestMs <= p10Ms && p10Ms <= medianMs && medianMs <= p90Ms);
  }
  assert.equal(rows.find(({ size }) => size === "10MB")!.bytes, 10_485_760);

  const one = await benchPlane({ runs: 1, planes: ["tcp"] });
  assert.deepEqual(one.map(({ plane }) => plane), ["tcp", "tcp", "tcp"]);
});

Deno.test("benchPlane() stops when it is cancelled", async () => {
  const stop = new AbortController();
  const onRun = (run: number) => run === 0 && stop.abort();
  await assert.rejects(benchPlane({ runs: 1000, signal: stop.signal, onRun }), {
    code: "CANCELLED",
  });
});
