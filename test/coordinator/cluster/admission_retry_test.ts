import assert from "node:assert/strict";
import { Patience } from "../../../coordinator/cluster/admission_retry.ts";
import { TuttiError } from "../../../shared/errors.ts";

function refusal(retryAfterMs?: string): TuttiError {
  const details = { limit: "max_sessions", asked: "1", left: "0" };
  return new TuttiError("RESOURCE_EXHAUSTED", "full", {
    details: { ...details, ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }) },
  });
}

/** Attempts against a clock of their own that throw `errors` one after the other; what was paused in between. */
async function attempts(
  errors: readonly unknown[],
  { waitMs, random = 1 }: { waitMs: number; random?: number },
) {
  let now = 1000, count = 0;
  const pauses: number[] = [];
  const patience = new Patience({
    waitMs,
    now: () => now,
    random: () => random,
    pause: (ms) => {
      pauses.push(ms);
      now += ms;
      return Promise.resolve();
    },
  });
  let error: unknown;
  const result = await patience.untilAdmitted(() => {
    if (count++ < errors.length) return Promise.reject(errors[count - 1]);
    return Promise.resolve("room");
  }).catch((thrown) => void (error = thrown));
  return { result, error, pauses, count, left: patience.left };
}

Deno.test("Patience asks again after 25 ms, twice as long each time up to half a second", async () => {
  const { result, pauses, left } = await attempts(Array(7).fill(refusal("1")), { waitMs: 5000 });
  assert.equal(result, "room");
  assert.deepEqual(pauses, [25, 50, 100, 200, 400, 500, 500]);
  assert.equal(left, 5000 - 1775);
});

Deno.test("Patience shortens a pause by half at most, at random", async () => {
  const { pauses } = await attempts([refusal("1"), refusal("1")], { waitMs: 5000, random: 0 });
  assert.deepEqual(pauses, [12.5, 25]);
});

Deno.test("Patience waits as long as the worker says, where that is longer", async () => {
  const errors = [refusal("700"), refusal("10"), refusal("40.5")];
  assert.deepEqual((await attempts(errors, { waitMs: 5000 })).pauses, [700, 50, 100]);
});

Deno.test("Patience tries once more when it is used up, and then gives the refusal", async () => {
  const last = refusal("3");
  const { error, pauses, count } = await attempts([refusal("1"), refusal("90000"), last], {
    waitMs: 300,
  });
  assert.equal(error, last);
  assert.deepEqual(pauses, [25, 275]);
  assert.equal(count, 3);
});

Deno.test("Patience takes the first refusal if there is none, and passes on what is no refusal or one for ever", async () => {
  for (
    const error of [
      refusal(),
      refusal("soon"),
      new TuttiError("UNAVAILABLE", "gone", { details: { retry_after_ms: "5" } }),
      new Error("a bug"),
    ]
  ) {
    assert.deepEqual(await attempts([error], { waitMs: 5000 }), {
      ...{ result: undefined, error, pauses: [], count: 1, left: 5000 },
    });
  }
  const first = refusal("1");
  assert.equal((await attempts([first], { waitMs: 0 })).error, first);
});

Deno.test("Patience ends its pause with the signal", async () => {
  const abort = new AbortController();
  const patience = new Patience({ waitMs: 60_000, signal: abort.signal });
  const waiting = patience.untilAdmitted(() => Promise.reject(refusal("50000")));
  setTimeout(() => abort.abort(), 20);
  await assert.rejects(waiting, { code: "CANCELLED" });
});
