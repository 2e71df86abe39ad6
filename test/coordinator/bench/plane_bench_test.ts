import assert from "node:assert/strict";
import { BENCH_PLANES } from "../../../coordinator/bench/plane_trips.ts";
import { benchPlane } from "../../../coordinator/bench/plane_bench.ts";

Deno.test("benchPlane() times every size over every plane that is asked for", async () => {
  const counted: number[] = [];
  const figures = await benchPlane({ runs: 2, onRun: (run) => counted.push(run) });
  assert.deepEqual(counted.filter((run) => run >= 0), [0, 1]);
  const sizes = ["0.33MB", "10MB", "64B"];
  assert.deepEqual(
    figures.map(({ name }) => name).sort(),
    BENCH_PLANES.flatMap((plane) => sizes.map((size) => `plane.${plane}.${size}`)).sort(),
  );
  for (const { name, value, unit, spread } of figures) {
    assert.equal(unit, "ms");
    assert.ok(0 < spread!.min && spread!.min <= value && value <= spread!.max);
    assert.equal(spread!.runs, name.endsWith("64B") ? 40 : 2);
  }
  const [large] = figures.filter(({ name }) => name === "plane.grpc.10MB");
  assert.deepEqual(large!.conditions, { bytesEachWay: 10_485_760 });

  const one = await benchPlane({ runs: 1, planes: ["tcp"] });
  assert.deepEqual(one.map(({ name }) => name.split(".")[1]), ["tcp", "tcp", "tcp"]);
});

Deno.test("benchPlane() stops when it is cancelled", async () => {
  const stop = new AbortController();
  const onRun = (run: number) => run === 0 && stop.abort();
  await assert.rejects(benchPlane({ runs: 1000, planes: ["unix"], signal: stop.signal, onRun }), {
    code: "CANCELLED",
  });
});
