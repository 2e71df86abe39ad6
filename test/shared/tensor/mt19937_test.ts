import assert from "node:assert/strict";
import { Mt19937 } from "../../../shared/tensor/mt19937.ts";

Deno.test("Mt19937 gives the value that the C++ standard names for std::mt19937", () => {
  // [rand.predef]: the 10000th consecutive invocation of a default-constructed mt19937, seed 5489.
  const engine = new Mt19937(5489);
  for (let i = 1; i < 10_000; i++) engine.random32();
  assert.equal(engine.random32(), 4123659995);
});

Deno.test("Mt19937 takes the low 32 bits of a seed", () => {
  const draw = (seed: number | bigint) => new Mt19937(seed).random32();
  assert.equal(draw(2n ** 32n + 5n), draw(5));
  assert.notEqual(draw(5), draw(6));
  assert.equal(draw(2 ** 32 - 1), draw(2n ** 64n - 1n));
});
