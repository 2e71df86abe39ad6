/**
 * `deno task test [--beside N] [PATH or option of deno test]...`: runs the tests, by default all of them, as many files at a time
 * as there are cores. The last line of output is `N passed, N failed, N skipped`; the exit code is 0 only if none failed.
 *
 * `--beside N` keeps N threads busy meanwhile: tests that rely on a quick or an idle machine show there.
 * `--repeat-failed`, which is for `.ci/run`, runs what failed among all tests once more, and counts that. Each test that
 * passes then is told in a line that begins with `UNSTABLE`.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { resolve } from "node:path";
import { provideBrowser } from "./browser_program.ts";
import { provideNatsServer } from "./nats_program.ts";
import { provideSoftwareGpu } from "./software_gpu.ts";
import { type BatchRun, type Conclusion, hasFailed, repeatFailed } from "./repeat_failed.ts";
import { parseTestFlags } from "./test_flags.ts";
import { batches, findTestFiles } from "./test_batches.ts";
import {
  conclude,
  failuresIn,
  formatCounts,
  parseSummary,
  type TestCounts,
} from "./test_summary.ts";

const ROOT = resolve(import.meta.dirname!, "../..");
/** More than these share memory and disk, and gain little. */
const MAX_AT_ONCE = 4;

/**
 * Gets what tests need beyond the npm packages of deno.json, such as a server program or a software
 * GPU driver, and returns the environment variables by which tests find it.
 */
async function prepare(): Promise<Record<string, string>> {
  const gpu = await provideSoftwareGpu(say);
  if ("reason" in gpu) say(`Tests on a GPU are skipped: ${gpu.reason}`);
  const nats = await provideNatsServer(say);
  if ("reason" in nats) say(`Tests with NATS are skipped: ${nats.reason}`);
  const browser = await provideBrowser(say);
  if ("reason" in browser) say(`Tests in a browser are skipped: ${browser.reason}`);
  // Tests that name no device compare bits, which differ between devices.
  return { TUTTI_DEVICE: "cpu", ...("env" in gpu && gpu.env) };
}

function say(text: string): void {
  write(new TextEncoder().encode(`${text}\n`));
}

function write(bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length;) {
    offset += Deno.stdout.writeSync(bytes.subarray(offset));
  }
}

/** Passes everything that `deno test` prints on as it comes, and returns the last summary in it. */
async function relay(
  output: ReadableStream<Uint8Array>,
  pass: (chunk: Uint8Array) => void,
): Promise<TestCounts | undefined> {
  let summary: TestCounts | undefined;
  let line = "";
  const decoder = new TextDecoder();
  for await (const chunk of output) {
    pass(chunk);
    const lines = (line + decoder.decode(chunk, { stream: true })).split("\n");
    line = lines.pop()!;
    for (const complete of lines) summary = parseSummary(complete) ?? summary;
  }
  return parseSummary(line) ?? summary;
}

async function runDenoTest(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  pass: (chunk: Uint8Array) => void,
): Promise<Conclusion> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--quiet", "--allow-all", ...args],
    ...{ cwd: ROOT, env, stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  const errors = (async () => {
    for await (const chunk of child.stderr) pass(chunk);
  })();
  const summary = await relay(child.stdout, pass);
  await errors;
  const { counts, exitCode, remark } = conclude(summary, (await child.status).code);
  if (remark !== undefined) pass(new TextEncoder().encode(`${remark}\n`));
  return { counts, exitCode };
}

/** Its output as one piece, when it has ended. */
async function runBatch(
  files: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<BatchRun> {
  const chunks: Uint8Array[] = [];
  // Types are what `deno task check` is for: checking them for every batch would cost minutes.
  const conclusion = await runDenoTest(["--no-check", ...files], env, (c) => chunks.push(c));
  const output = Buffer.concat(chunks);
  write(output);
  return { ...conclusion, files, output: output.toString() };
}

async function runAll(
  env: Readonly<Record<string, string>>,
  { isRepeated }: { readonly isRepeated: boolean },
): Promise<Conclusion> {
  const all = batches(await findTestFiles(ROOT));
  const waiting = [...all];
  const runs: BatchRun[] = [];
  const runNext = async () => {
    for (let batch = waiting.shift(); batch; batch = waiting.shift()) {
      const start = performance.now();
      runs.push(await runBatch(batch, env));
      const seconds = Math.round((performance.now() - start) / 1000);
      say(`Tests: ${runs.length} of ${all.length} batches done, this one in ${seconds} s`);
    }
  };
  const atOnce = Math.min(MAX_AT_ONCE, navigator.hardwareConcurrency);
  await Promise.all(Array.from({ length: atOnce }, runNext));
  const final = isRepeated ? await repeatFailed(runs, (files) => runBatch(files, env), say) : runs;
  // Once more at the end, where people look.
  for (const { files, output } of final.filter(hasFailed)) {
    say(`\nFailed in: deno task test ${files.join(" ")}\n${failuresIn(output)}\n`);
  }
  const total = (key: keyof TestCounts) => final.reduce((sum, { counts }) => sum + counts[key], 0);
  return {
    counts: { passed: total("passed"), failed: total("failed"), skipped: total("skipped") },
    exitCode: final.find(hasFailed)?.exitCode ?? 0,
  };
}

/** Threads that end with this process, however it ends. */
function startBusyThreads(count: number): void {
  for (let i = 0; i < count; i++) {
    new Worker("data:application/javascript,for(;;);", { type: "module" });
  }
}

const { isRepeated, beside, args } = parseTestFlags(Deno.args);
const env = await prepare();
startBusyThreads(beside);
const { counts, exitCode } = args.length === 0
  ? await runAll(env, { isRepeated })
  : await runDenoTest(args, env, write);
say(formatCounts(counts));
Deno.exit(exitCode);
