import assert from "node:assert/strict";
import { median, stepModel } from "./step_model.ts";

const TRAFFIC = { sentBytes: 10e6, receivedBytes: 20e6, roundTrips: 25 };
const LINK = { sendBytesPerSecond: 10e6, receiveBytesPerSecond: 40e6, roundTripMs: 50 };

Deno.test("the wire takes both directions' bytes at their rates, and the round trips", () => {
  const { wireMs, maxMs, sumMs } = stepModel(1000, TRAFFIC, LINK);
  assert.equal(wireMs, 1000 + 500 + 1250);
  assert.equal(maxMs, wireMs);
  assert.equal(sumMs, wireMs + 1000);
});

Deno.test("where computing takes longer, it is the maximum", () => {
  assert.equal(stepModel(5000, TRAFFIC, LINK).maxMs, 5000);
});

Deno.test("median() takes a value that was measured", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2);
  assert.ok(Number.isNaN(median([])));
});
