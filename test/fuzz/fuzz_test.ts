/** A short run of the fuzzer over every target; `deno task fuzz` is the long one. */

import assert from "node:assert/strict";
import { TuttiError } from "../../shared/errors.ts";
import { fuzz, type FuzzTarget, outcomeOf } from "./fuzz.ts";
import { FUZZ_TARGETS } from "./targets/targets.ts";

const MUTATIONS = 3_000;

for (const { name, open, share } of FUZZ_TARGETS) {
  Deno.test(`fuzz ${name}: every damaged input is taken or refused by a typed error`, async () => {
    await using target = await open();
    const mutations = Math.ceil(MUTATIONS * share);
    const report = await fuzz(target, { mutations, seed: 7 });
    assert.deepEqual(report.failures, []);
    assert.equal(report.mutations, mutations);
    assert.ok(report.goodInputs > 0);
    // Damage that is never noticed is none.
    assert.ok(Object.keys(report.outcomes).some((outcome) => outcome !== "taken"));
  });
}

/** Reads a byte, and is wrong about some. */
function careless(read: (byte: number) => void, good: () => void = () => {}): FuzzTarget {
  return {
    name: "careless",
    seeds: [new Uint8Array(8).fill(1)],
    feed: (bytes) => outcomeOf(() => read(bytes[0] ?? 0)),
    feedGood: good,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

Deno.test("fuzz finds untyped errors, silent wrong states and what hides behind UNKNOWN", async () => {
  const options = { mutations: 2_000, seed: 1 };
  const untyped = await fuzz(
    careless((byte) => void (byte === 0x80 && [0].at(1)!.toFixed())),
    options,
  );
  assert.ok(untyped.failures.length > 0);
  const wrapped = await fuzz(
    careless((byte) => {
      if (byte === 0) throw TuttiError.from(new Error("unforeseen"));
    }),
    options,
  );
  assert.ok(wrapped.failures.length > 0);
  let isBroken = false;
  const broken = careless((byte) => {
    isBroken ||= byte === 0xff;
  }, () => assert.ok(!isBroken));
  assert.match((await fuzz(broken, options)).failures[0]!.problem, /good input after it/);
  const typed = careless((byte) => {
    if (byte !== 1) throw new TuttiError("INVALID_ARGUMENT", "must be 1");
  });
  const report = await fuzz(typed, options);
  assert.deepEqual(report.failures, []);
  assert.ok(report.outcomes.INVALID_ARGUMENT! > 0);
});
