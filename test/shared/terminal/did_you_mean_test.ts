import assert from "node:assert/strict";
import { didYouMean, nearestWord } from "../../../shared/terminal/did_you_mean.ts";

const WORDS = ["name", "sabw", "vae", "tokenizer", "scheduler", "experts"];

Deno.test("nearestWord() finds the word behind a slip of the fingers", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["tokeniser", "tokenizer"],
    ["expert", "experts"],
    ["shceduler", "scheduler"],
    ["SABW", "sabw"],
    ["va", "vae"],
    ["nmae", "name"],
  ];
  for (const [typed, meant] of cases) assert.equal(nearestWord(typed, WORDS), meant);
});

Deno.test("nearestWord() is silent when no word is near", () => {
  for (const typed of ["", "model", "xyz", "z".repeat(100_000)]) {
    assert.equal(nearestWord(typed, WORDS), undefined);
  }
});

Deno.test("nearestWord() takes the nearer of two near words", () => {
  assert.equal(nearestWord("steps", ["stops", "steps2", "step", "steps"]), "steps");
});

Deno.test("didYouMean() ends a message, or is empty", () => {
  assert.equal(didYouMean("expert", WORDS), ' (did you mean "experts"?)');
  assert.equal(didYouMean("zzz", WORDS), "");
});
