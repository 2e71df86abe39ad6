/** `tutti bench docs`: writes the tables of `docs/benchmarks.md` from results. @module */

import { Command } from "commander";
import { dirname, join } from "node:path";
import { FormatError, TuttiError } from "../../../shared/errors.ts";
import { BENCH_RESULTS, BENCHMARKS_PAGE, MAIN_PROGRAM } from "../../../shared/project_files.ts";
import { printLine } from "../../../shared/terminal/stdout.ts";
import { parseResults } from "../../bench/parse_results.ts";
import { rewriteTables } from "../../bench/rewrite_tables.ts";

interface DocsFlags {
  readonly page: string;
}

const NOTES = `
A table stands between <!-- bench:NAME --> and <!-- /bench:NAME -->. Of one thing that was measured several times the last
line counts. Tables that the results say nothing of stay as they are.

Examples:
  tutti bench all --out test/bench/results/all.jsonl && tutti bench docs
  tutti bench docs results.jsonl`;

export function docsCommand(): Command {
  return new Command("docs")
    .summary("write the documentation's tables from results")
    .description(
      "Writes the tables of docs/benchmarks.md from what benchmarks printed with --json.",
    )
    .argument("[results...]", "files of JSON lines (default: all of test/bench/results, by name)")
    .option("--page <file>", "file to write to", BENCHMARKS_PAGE)
    .addHelpText("after", NOTES)
    .action((files: string[], flags: DocsFlags) => runDocs(files, flags));
}

async function runDocs(files: readonly string[], { page }: DocsFlags): Promise<void> {
  const sources = files.length > 0 ? files : await committedResults();
  const results = [];
  for (const source of sources) results.push(...parseResults(await read(source), source));
  const { text, written, kept } = rewriteTables(await read(page), results);
  if (written.length === 0) {
    throw new FormatError(
      `"${page}" must have a table that the results fill: ` +
        (kept.length === 0 ? "it has no marker" : `they say nothing of ${kept.join(", ")}`),
    );
  }
  await Deno.writeTextFile(page, await formatMarkdown(text));
  printLine(`${page}: ${written.join(", ")}`);
  if (kept.length > 0) printLine(`as they were: ${kept.join(", ")}`);
}

async function committedResults(): Promise<string[]> {
  const names = (await Array.fromAsync(Deno.readDir(BENCH_RESULTS))).map(({ name }) => name);
  return names.filter((name) => name.endsWith(".jsonl")).sort()
    .map((name) => join(BENCH_RESULTS, name));
}

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw new FormatError(`Cannot read "${path}": ${(cause as Error).message}`, { cause });
  }
}

/** As `deno task check` wants it: columns aligned, lines wrapped. */
async function formatMarkdown(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", "--ext", "md", "-"],
    cwd: dirname(MAIN_PROGRAM),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  if (success) return new TextDecoder().decode(stdout);
  throw new TuttiError("INTERNAL", `deno fmt failed: ${new TextDecoder().decode(stderr)}`);
}
