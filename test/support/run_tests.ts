/**
 * `deno task test [PATH or option of deno test]...`: runs the tests, by default all of them. The
 * last line of output is `N passed, N failed, N skipped`; the exit code is that of `deno test`.
 *
 * @module
 */

import { resolve } from "node:path";
import { provideNatsServer } from "./nats_program.ts";
import { provideSoftwareGpu } from "./software_gpu.ts";
import { conclude, formatCounts, parseSummary, type TestCounts } from "./test_summary.ts";

/**
 * Gets what tests need beyond the npm packages of deno.json, such as a server program or a software
 * GPU driver, and returns the environment variables by which tests find it.
 */
async function prepare(): Promise<Record<string, string>> {
  const gpu = await provideSoftwareGpu(say);
  if ("reason" in gpu) say(`Tests on a GPU are skipped: ${gpu.reason}`);
  const nats = await provideNatsServer(say);
  if ("reason" in nats) say(`Tests with NATS are skipped: ${nats.reason}`);
  // Tests that name no device compare bits, which differ between devices.
  return { TUTTI_DEVICE: "cpu", ...("env" in gpu && gpu.env) };
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Passes everything that `deno test` prints on as it comes, and returns the last summary in it. */
async function relay(output: ReadableStream<Uint8Array>): Promise<TestCounts | undefined> {
  let summary: TestCounts | undefined;
  let line = "";
  const decoder = new TextDecoder();
  for await (const chunk of output) {
    for (let offset = 0; offset < chunk.length;) {
      offset += await Deno.stdout.write(chunk.subarray(offset));
    }
    const lines = (line + decoder.decode(chunk, { stream: true })).split("\n");
    line = lines.pop()!;
    for (const complete of lines) summary = parseSummary(complete) ?? summary;
  }
  return parseSummary(line) ?? summary;
}

const child = new Deno.Command(Deno.execPath(), {
  args: ["test", "--quiet", "--allow-all", ...Deno.args],
  cwd: resolve(import.meta.dirname!, "../.."),
  env: await prepare(),
  stdin: "null",
  stdout: "piped",
  stderr: "inherit",
}).spawn();
const summary = await relay(child.stdout);
const { counts, exitCode, remark } = conclude(summary, (await child.status).code);
const end = `${remark === undefined ? "" : `${remark}\n`}${formatCounts(counts)}\n`;
await Deno.stdout.write(new TextEncoder().encode(end));
Deno.exit(exitCode);
