import assert from "node:assert/strict";
import { checkRoom } from "../../../coordinator/bench/room.ts";

const SD15_BYTES = 3_438_000_000;

Deno.test("checkRoom() refuses what does not fit, with the numbers and what to do", () => {
  const needed = { bench: "overhead", models: 4, weightBytes: SD15_BYTES, processes: 3 };
  checkRoom(needed, 24e9);
  checkRoom(needed, 4 * SD15_BYTES * 1.15 + 0.9e9);
  assert.throws(() => checkRoom(needed, 16e9), {
    code: "RESOURCE_EXHAUSTED",
    message: "bench overhead needs about 16.7 GB of memory (4 U-Nets of 3.4 GB of weights each, " +
      "3 processes): 16.0 GB are available. Take fewer experts or a smaller --family",
  });
});
