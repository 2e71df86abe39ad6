import assert from "node:assert/strict";
import {
  type Awaited,
  AwaitedSessions,
} from "../../../../coordinator/cluster/replicas/awaited_sessions.ts";
import { TravelTimes } from "../../../../coordinator/cluster/replicas/travel_times.ts";
import { delay } from "../../../../coordinator/cluster/delay.ts";

const SILENCE_MS = 20;
const AWAITED: Awaited = { sessionId: "s1", bytes: 0, patience: 1 };

function sessions(travelMs = (_bytes: number) => 0): AwaitedSessions {
  return new AwaitedSessions({
    worker: "w:1",
    silenceMs: SILENCE_MS,
    intervalMs: 5,
    travelMs,
  });
}

/** The worker says that it has waited for so long. */
const quiet = (quietSeconds: number, sessionId = "s1") => [{ sessionId, quietSeconds }];

Deno.test("a session that is quiet for longer than it may be is lost when two answers say so", async () => {
  const awaited = sessions();
  using wait = awaited.await(AWAITED);
  using other = awaited.await({ ...AWAITED, sessionId: "s2" });
  assert.deepEqual(awaited.ids, ["s1", "s2"]);
  await delay(2 * SILENCE_MS);
  awaited.answered([...quiet(60), ...quiet(0, "s2")], performance.now());
  assert.ok(!wait.lost.aborted);
  awaited.answered([...quiet(60), ...quiet(0, "s2")], performance.now());
  assert.ok(wait.lost.aborted);
  assert.match(wait.lost.reason.message, /^Worker w:1 answers, but has had nothing to do/);
  assert.ok(!other.lost.aborted);
});

Deno.test("what a session was quiet for before its command counts no more, nor does an older question", async () => {
  const awaited = sessions();
  const askedBefore = performance.now() - 1;
  using wait = awaited.await(AWAITED);
  for (let i = 0; i < 3; i++) awaited.answered(quiet(60), performance.now());
  await delay(2 * SILENCE_MS);
  for (let i = 0; i < 3; i++) awaited.answered(quiet(60), askedBefore);
  // An older worker says nothing, nor does another one behind the same address.
  for (let i = 0; i < 3; i++) awaited.answered([], performance.now());
  // In between it computed.
  awaited.answered(quiet(60), performance.now());
  awaited.answered(quiet(0), performance.now());
  awaited.answered(quiet(60), performance.now());
  assert.ok(!wait.lost.aborted);
});

Deno.test("tensors may be under way for longer, all that may have one connection in common", async () => {
  const awaited = sessions((bytes) => bytes * 1000);
  using wait = awaited.await(AWAITED);
  const other = awaited.await({ sessionId: "s2", bytes: 60, patience: 1 });
  await delay(2 * SILENCE_MS);
  for (let i = 0; i < 3; i++) awaited.answered(quiet(30), performance.now());
  assert.ok(!wait.lost.aborted);
  other[Symbol.dispose]();
  for (let i = 0; i < 3; i++) awaited.answered(quiet(30), performance.now());
  assert.ok(wait.lost.aborted);
});

Deno.test("TravelTimes goes by a slow link at first, then by the fastest range of the newest", () => {
  const times = new TravelTimes(1_000_000);
  assert.equal(times.longestMs(2_000_000), 2_000);
  times.add(1_000, 5_000); // A graph was built.
  times.add(1_000, 10);
  times.add(0, 3);
  assert.equal(times.longestMs(1_000), 40);
  for (let i = 0; i < 16; i++) times.add(1_000, 100);
  assert.equal(times.longestMs(1_000), 400);
});
