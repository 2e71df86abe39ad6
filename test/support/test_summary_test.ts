import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { conclude, failedTests, failuresIn, formatCounts, parseSummary } from "./test_summary.ts";

Deno.test("parseSummary() reads the summaries of deno test", () => {
  const cases: readonly (readonly [string, number, number, number])[] = [
    ["ok | 12 passed | 0 failed (1s)", 12, 0, 0],
    ["ok | 12 passed (3 steps) | 0 failed | 2 ignored (1s)", 12, 0, 2],
    ["FAILED | 2 passed (2 steps) | 1 failed (1 step) | 1 ignored (9ms)", 2, 1, 1],
    ["ok | 1 passed | 0 failed | 3 ignored (1 step) | 4 measured | 5 filtered out (1m2s)", 1, 0, 3],
    ["ok | 0 passed | 0 failed | 4 filtered out (344µs)\r", 0, 0, 0],
    [
      "\x1b[0m\x1b[31mFAILED\x1b[0m | 2 passed | 10 failed \x1b[0m\x1b[38;5;245m(171ms)\x1b[0m",
      2,
      10,
      0,
    ],
  ];
  for (const [line, passed, failed, skipped] of cases) {
    assert.deepEqual(parseSummary(line), { passed, failed, skipped }, line);
  }
});

Deno.test("parseSummary() takes nothing else for a summary", () => {
  const lines = [
    "",
    "12 passed, 0 failed, 0 skipped",
    "a ... ok (0ms)",
    "worker ok | 12 passed | 0 failed (1s)",
    "ok | 12 passed | 0 failed (1s) and more",
    "ok | 12 passed | 0 failed",
    "ok | 12 measured (1s)",
    "FAILED (due to 1 failed step) (139ms)",
  ];
  for (const line of lines) assert.equal(parseSummary(line), undefined, line);
});

Deno.test("conclude() reports a run that broke down as a failure", () => {
  const counts = { passed: 3, failed: 0, skipped: 1 };
  assert.deepEqual(conclude(counts, 0), { counts, exitCode: 0 });
  assert.deepEqual(conclude({ ...counts, failed: 2 }, 1), {
    counts: { ...counts, failed: 2 },
    exitCode: 1,
  });
  assert.deepEqual(conclude(counts, 137), {
    counts: { ...counts, failed: 1 },
    exitCode: 137,
    remark: "deno test ended with exit code 137 though no test failed",
  });
  for (const exitCode of [0, 1]) {
    assert.deepEqual(conclude(undefined, exitCode), {
      counts: { passed: 0, failed: 1, skipped: 0 },
      exitCode: 1,
      remark: `deno test printed no summary and ended with exit code ${exitCode}`,
    });
  }
});

Deno.test("failuresIn() finds the errors, or else takes the last lines", () => {
  const errors =
    "\x1b[0m\x1b[1m\x1b[37m\x1b[41m ERRORS \x1b[0m\n\nd => ./d_test.ts:1:6\nerror: Error: no";
  assert.equal(failuresIn(`a ... ok\nthe word ERRORS\n${errors}\n\n`), errors);
  const lines = Array.from({ length: 100 }, (_, i) => `line ${i}`);
  assert.deepEqual(failuresIn(lines.join("\n")).split("\n"), lines.slice(-40));
});

Deno.test("failedTests() reads the list of failures, steps and uncaught errors included", () => {
  const list = [
    "boom => ./test/other_test.ts:1:6 is what it printed",
    "\x1b[0m\x1b[1m\x1b[37m\x1b[41m FAILURES \x1b[0m",
    "",
    "boom \x1b[0m\x1b[38;5;245m=> ./test/a_test.ts:1:6\x1b[0m",
    "outer ... inner \x1b[0m\x1b[38;5;245m=> ./test/b_test.ts:12:43\x1b[0m",
    "./test/c_test.ts (uncaught error)",
    "",
    "FAILED | 0 passed | 3 failed (1 step) (1s)",
  ];
  assert.deepEqual(failedTests(list.join("\n")), [
    "boom (./test/a_test.ts)",
    "outer ... inner (./test/b_test.ts)",
    "uncaught error (./test/c_test.ts)",
  ]);
  assert.deepEqual(failedTests("ok | 1 passed | 0 failed (1s)"), []);
});

Deno.test("formatCounts() writes the line that ends every run", () => {
  assert.equal(formatCounts({ passed: 5, failed: 0, skipped: 1 }), "5 passed, 0 failed, 1 skipped");
});

Deno.test("run_tests ends with the counts of the real deno test and its exit code", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tutti-tests-"));
  try {
    const good = join(folder, "good_test.ts");
    await writeFile(
      good,
      `Deno.test("a", async (t) => void await t.step("s", () => {}));
       Deno.test("b", () => console.log("FAILED | 9 passed | 9 failed (1s)"));
       Deno.test.ignore("c", () => {});`,
    );
    const bad = join(folder, "bad_test.ts");
    await writeFile(bad, `Deno.test("d", () => { throw new Error("expected here"); });`);
    const broken = join(folder, "broken_test.ts");
    await writeFile(broken, `export const a: number = "no number";`);

    const run = async (...args: string[]) => {
      const { stdout, code } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--quiet",
          "--allow-all",
          join(import.meta.dirname!, "run_tests.ts"),
          ...args,
        ],
        stdin: "null",
        stderr: "null",
      }).output();
      return [new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1), code];
    };
    assert.deepEqual(await run(good), ["2 passed, 0 failed, 1 skipped", 0]);
    assert.deepEqual(await run(good, "--filter", "a", "--reporter=dot"), [
      "1 passed, 0 failed, 0 skipped",
      0,
    ]);
    assert.deepEqual(await run(good, "--beside", "2"), ["2 passed, 0 failed, 1 skipped", 0]);
    assert.deepEqual(await run(good, bad), ["2 passed, 1 failed, 1 skipped", 1]);
    assert.deepEqual(await run(broken), ["0 passed, 1 failed, 0 skipped", 1]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
