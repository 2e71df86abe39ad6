import assert from "node:assert/strict";
import { f32 } from "../../shared/tensor/tensor.ts";
import {
  compareVersions,
  formatVerdict,
  type ScenarioResult,
  verdictOn,
} from "./compare_versions.ts";
import type { Outcome } from "./outcome.ts";
import type { Scenario } from "./scenario.ts";

const latents = (...values: number[]): Outcome => ({
  latents: new Map([["latents", f32([values.length], values)]]),
});

/** Plays it with programs that nothing runs. */
function compared(scenario: Omit<Scenario, "name" | "what">): Promise<ScenarioResult> {
  return compareVersions({ name: "test", what: "", ...scenario }, {
    programs: { base: "base.ts", current: "current.ts" },
    signal: new AbortController().signal,
    goldens: "",
    say: () => {},
    onVersion: () => {},
  });
}

Deno.test("verdictOn() calls equal what has the same bits, and different what has not", () => {
  assert.equal(verdictOn(latents(1, 2), latents(1, 2)).verdict, "equal");
  const { verdict, difference } = verdictOn(latents(1, 2), latents(1, 3));
  assert.deepEqual([verdict, difference!.index], ["different", [1]]);
});

Deno.test("verdictOn() fails a scenario that gave nothing to compare", () => {
  const nothing = { latents: new Map() };
  assert.deepEqual(verdictOn(nothing, nothing).reason, "there are no latents to compare");
  assert.equal(verdictOn(nothing, nothing).verdict, "failed");
});

Deno.test("compareVersions() plays both, and reports which one a scenario fails with", async () => {
  const outcomes = [latents(1), latents(2)];
  const different = await compared({ play: () => Promise.resolve(outcomes.shift()!) });
  assert.equal(
    formatVerdict(different),
    'different: latents "latents" [0]: 1 in the base, 2 now (1 of 1 values differ, by 1.0 at most)',
  );
  let plays = 0;
  const failed = await compared({
    play: () => ++plays === 2 ? Promise.reject(new Error("broken")) : Promise.resolve(latents(1)),
  });
  assert.equal(formatVerdict(failed), "failed: with the current program: broken");
});

Deno.test("compareVersions(): where a scenario may grow, what only the later version has is new; what is gone is not", async () => {
  const one = latents(1);
  const two = { latents: new Map([...one.latents!, ["more", f32([1], [2])]]) };
  const play = (outcomes: Outcome[], mayGrow: boolean) =>
    compared({ mayGrow, play: () => Promise.resolve(outcomes.shift()!) });
  assert.equal((await play([one, two], true)).verdict, "equal");
  assert.equal((await play([one, two], false)).verdict, "different");
  assert.equal((await play([two, one], true)).verdict, "different");
});

Deno.test("compareVersions() skips what cannot be played here, and says why", async () => {
  const result = await compared({
    obstacle: () => Promise.resolve("no server"),
    play: () => Promise.reject(new Error("it was played")),
  });
  assert.equal(formatVerdict(result), "skipped: no server");
});
