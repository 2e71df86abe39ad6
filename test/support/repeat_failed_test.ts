import assert from "node:assert/strict";
import { type BatchRun, repeatFailed } from "./repeat_failed.ts";

/** A run of one file of two tests, of which these failed. */
const run = (name: string, ...failed: readonly string[]): BatchRun => ({
  files: [`${name}_test.ts`],
  output: failed.length === 0
    ? ""
    : ["", " FAILURES ", "", ...failed.map((test) => `${test} => ./${name}_test.ts:1:6`)].join(
      "\n",
    ),
  counts: { passed: 2 - failed.length, failed: failed.length, skipped: 0 },
  exitCode: Math.min(1, failed.length),
});

/** A run that ended before it could name a test. */
const broken = (name: string): BatchRun => ({ ...run(name, "all"), output: "Segmentation fault" });

/** Repeats what failed; the second runs are these. */
async function repeat(runs: readonly BatchRun[], second: readonly BatchRun[] = []) {
  const repeated: string[] = [];
  const said: string[] = [];
  const final = await repeatFailed(
    runs,
    ([file]) => {
      repeated.push(file!);
      return Promise.resolve(second.find(({ files }) => files[0] === file)!);
    },
    (text) => said.push(text),
  );
  return {
    repeated,
    unstable: said.filter((line) => line.startsWith("UNSTABLE")),
    failed: final.flatMap(({ counts }) => counts.failed),
  };
}

Deno.test("repeatFailed() counts the second run, and names each test that failed in the first alone", async () => {
  const first = [
    run("good"),
    run("bad", "adds"),
    run("busy", "waits", "ends"),
    run("half", "a", "b"),
  ];
  const second = [run("bad", "adds"), run("busy"), run("half", "b")];
  assert.deepEqual(await repeat(first, second), {
    repeated: ["bad_test.ts", "busy_test.ts", "half_test.ts"],
    unstable: [
      "UNSTABLE waits (./busy_test.ts)",
      "UNSTABLE ends (./busy_test.ts)",
      "UNSTABLE a (./half_test.ts)",
    ],
    failed: [0, 1, 0, 1],
  });
});

Deno.test("repeatFailed() names the files of a run that broke down, and nothing where the second one does", async () => {
  const { unstable } = await repeat([broken("crash"), run("b", "c")], [run("crash"), broken("b")]);
  assert.deepEqual(unstable, ["UNSTABLE run of crash_test.ts"]);
});

Deno.test("repeatFailed() repeats nothing where nothing failed, or much", async () => {
  assert.deepEqual((await repeat([run("good")])).repeated, []);
  const failing = ["a", "b", "c", "d"].map((name) => run(name, "test"));
  assert.deepEqual(await repeat(failing), { repeated: [], unstable: [], failed: [1, 1, 1, 1] });
});
