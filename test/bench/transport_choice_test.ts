import assert from "node:assert/strict";
import {
  BASIC,
  choiceName,
  CHOICES,
  missing,
  partsOf,
  type TransportChoice,
} from "./transport_choice.ts";

/** What the basic choice is seen to do. */
const SEEN = { workers: 2, connections: 2, bytesToF32: 1.02, callsInFlight: 1 };

const choice = (changes: Partial<TransportChoice>) => ({ ...BASIC, ...changes });

Deno.test("there are 12 choices, each once, and the basic one is the first", () => {
  assert.equal(new Set(CHOICES.map(choiceName)).size, 12);
  assert.equal(choiceName(CHOICES[0]!), "grpc.f32.1");
});

Deno.test("a choice counts only if it is seen", () => {
  assert.equal(missing(BASIC, SEEN), undefined);
  assert.match(missing(choice({ plane: "tcp" }), SEEN)!, /^plane tcp: 2 connections to 2 workers/);
  assert.match(missing(choice({ wireDtype: "f16" }), SEEN)!, /^wire dtype f16: 1\.02 of the bytes/);
  assert.match(missing(choice({ waves: 2 }), SEEN)!, /^2 waves: 1 call in flight/);

  assert.equal(missing(choice({ plane: "tcp" }), { ...SEEN, connections: 4 }), undefined);
  for (const [wireDtype, bytesToF32] of [["f16", 0.53], ["int8", 0.3]] as const) {
    assert.equal(missing(choice({ wireDtype }), { ...SEEN, bytesToF32 }), undefined);
  }
  assert.equal(missing(choice({ waves: 2 }), { ...SEEN, callsInFlight: 2 }), undefined);
});

Deno.test("what was not asked for is not passed off as the basic choice", () => {
  assert.match(missing(BASIC, { ...SEEN, connections: 3 })!, /^plane grpc/);
  assert.match(missing(BASIC, { ...SEEN, bytesToF32: 0.51 })!, /^wire dtype f32/);
});

Deno.test("partsOf() come before their choice, so that their absence is known", () => {
  for (const [index, each] of CHOICES.entries()) {
    for (const part of partsOf(each)) {
      const at = CHOICES.findIndex((other) => choiceName(other) === choiceName(part));
      assert.ok(at >= 0 && at <= index, `${choiceName(part)} of ${choiceName(each)}`);
    }
  }
});
