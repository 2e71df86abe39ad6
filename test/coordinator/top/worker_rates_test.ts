import assert from "node:assert/strict";
import { RateMeter } from "../../../coordinator/top/worker_rates.ts";

function meterOf(readings: readonly (readonly [up: number, blocks: number, compute: number])[]) {
  const meter = new RateMeter();
  for (const [uptimeSeconds, blocksRun, computeSeconds] of readings) {
    meter.add({ uptimeSeconds, blocksRun, computeSeconds, lanes: 2 });
  }
  return meter;
}

Deno.test("RateMeter: rates are differences over the worker's own seconds and its lanes", () => {
  assert.equal(meterOf([]).rates, undefined);
  assert.equal(meterOf([[5, 100, 1]]).rates, undefined);
  assert.deepEqual(meterOf([[5, 100, 1], [9, 150, 3]]).rates, {
    blocksPerSecond: 12.5,
    computing: 0.25,
  });
  // A block that had begun before the first reading does not make more than all of the time.
  assert.equal(meterOf([[5, 100, 1], [6, 101, 9]]).rates!.computing, 1);
});

Deno.test("RateMeter: the last 10 s count, or the last two readings where those are further apart", () => {
  const steady = meterOf([[0, 0, 0], [4, 400, 0], [8, 400, 0], [12, 400, 0], [16, 440, 0]]);
  assert.equal(steady.rates!.blocksPerSecond, 40 / 12);
  assert.equal(meterOf([[0, 0, 0], [60, 600, 0], [90, 660, 0]]).rates!.blocksPerSecond, 2);
});

Deno.test("RateMeter: a worker that was started again counts anew", () => {
  const restarted = meterOf([[100, 900, 9], [2, 10, 1]]);
  assert.equal(restarted.rates, undefined);
  restarted.add({ uptimeSeconds: 4, blocksRun: 30, computeSeconds: 2, lanes: 1 });
  assert.deepEqual(restarted.rates, { blocksPerSecond: 10, computing: 0.5 });
});
