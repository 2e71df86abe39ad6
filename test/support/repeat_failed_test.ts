import assert from "node:assert/strict";
import { type BatchRun, repeatFailed } from "./repeat_failed.ts";

const run = (name: string, failed = 0, output = ""): BatchRun => ({
  files: [name],
  output,
  counts: { passed: 2 - failed, failed, skipped: 0 },
  exitCode: Math.min(1, failed),
});

/** Repeats what failed; in the second run only `stillFailing` fail. */
async function repeat(runs: readonly BatchRun[], stillFailing: readonly string[] = []) {
  const repeated: string[] = [];
  const said: string[] = [];
  const final = await repeatFailed(
    runs,
    ([name]) => {
      repeated.push(name!);
      return Promise.resolve(run(name!, stillFailing.includes(name!) ? 1 : 0));
    },
    (text) => said.push(text),
  );
  return { repeated, said: said.join("\n"), failed: final.flatMap(({ counts }) => counts.failed) };
}

Deno.test("repeatFailed() counts what passes alone, and says what failed before", async () => {
  const { repeated, said, failed } = await repeat([
    run("good"),
    run("bad", 1, " ERRORS \nwrong numbers"),
    run("busy", 2, " ERRORS \ntimed out"),
  ], ["bad"]);
  assert.deepEqual(repeated, ["bad", "busy"]);
  assert.deepEqual(failed, [0, 1, 0]);
  assert.match(said, /UNSTABLE: .*\n ERRORS \ntimed out/);
  assert.doesNotMatch(said, /wrong numbers/);
});

Deno.test("repeatFailed() repeats nothing where nothing failed, or much", async () => {
  assert.deepEqual((await repeat([run("good")])).repeated, []);
  const broken = ["a", "b", "c", "d"].map((name) => run(name, 1));
  assert.deepEqual(await repeat(broken), { repeated: [], said: "", failed: [1, 1, 1, 1] });
});
