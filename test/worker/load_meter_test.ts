import assert from "node:assert/strict";
import { TuttiError } from "../../shared/errors.ts";
import { LoadMeter } from "../../worker/load_meter.ts";

Deno.test("LoadMeter tells a refused call when one of those that run may end", async () => {
  let now = 0;
  const load = new LoadMeter(1, 2, () => now);
  const ends = [1, 2, 3].map(() => Promise.withResolvers<void>());
  const retryAfter = () =>
    load.call(() => Promise.resolve()).then(
      () => "taken",
      (error) => {
        assert.ok(error instanceof TuttiError && error.code === "RESOURCE_EXHAUSTED");
        assert.equal(error.details.limit, "max_calls");
        return Number(error.details.retry_after_ms);
      },
    );
  const calls = [load.call(() => ends[0]!.promise), load.call(() => ends[1]!.promise)];
  now = 30;
  assert.equal(await retryAfter(), 30, "the oldest is taken to be half-way, and two run");
  now = 40;
  ends[0]!.resolve();
  await calls[0];
  calls.push(load.call(() => ends[2]!.promise));
  assert.equal(await retryAfter(), 20, "calls take 40 ms, and two run");
  now = 140;
  ends[1]!.resolve();
  await calls[1];
  assert.equal(await retryAfter(), "taken");
  ends[2]!.resolve();
  await Promise.all(calls);
  assert.deepEqual([load.busyLanes, load.queueDepth], [0, 0]);
});
