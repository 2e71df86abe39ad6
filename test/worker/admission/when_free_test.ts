import assert from "node:assert/strict";
import { whenFreeMs } from "../../../worker/admission/when_free.ts";

const ENDINGS = [
  { bytes: 10, remainingMs: 300 },
  { bytes: 50, remainingMs: 100 },
  { bytes: 20, remainingMs: 200 },
];

Deno.test("whenFreeMs() goes through the ends in their order until there is room", () => {
  const ms = (sessions: number, bytes: number) => whenFreeMs(ENDINGS, { sessions, bytes });
  assert.equal(ms(0, 0), 0);
  assert.equal(ms(-2, -5), 0);
  assert.equal(ms(1, 0), 100);
  assert.equal(ms(1, 50), 100);
  assert.equal(ms(1, 51), 200);
  assert.equal(ms(2, 10), 200);
  assert.equal(ms(0, 80), 300);
});

Deno.test("whenFreeMs() counts on for a queue that is longer than what runs", () => {
  assert.equal(whenFreeMs(ENDINGS, { sessions: 6, bytes: 0 }), 600);
  assert.equal(whenFreeMs(ENDINGS, { sessions: 1, bytes: 240 }), 900);
  assert.equal(whenFreeMs([], { sessions: 1, bytes: 1 }), 0);
});
