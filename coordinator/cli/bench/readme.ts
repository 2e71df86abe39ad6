/** `tutti bench readme`: writes README's tables from results. @module */

import { Command } from "commander";
import { dirname, join } from "node:path";
import { FormatError, TuttiError } from "../../../shared/errors.ts";
import { BENCH_RESULTS, MAIN_PROGRAM, README } from "../../../shared/project_files.ts";
import { printLine } from "../../../shared/terminal/stdout.ts";
import { parseResults } from "../../bench/parse_results.ts";
import { rewriteReadme } from "../../bench/rewrite_readme.ts";

interface ReadmeFlags {
  readonly readme: string;
}

const NOTES = `
A table stands between <!-- bench:NAME --> and <!-- /bench:NAME -->. Of one thing that was measured several times the last
line counts. Tables that the results say nothing of stay as they are.

Examples:
  tutti bench all --out test/bench/results/all.jsonl && tutti bench readme
  tutti bench readme results.jsonl`;

export function readmeCommand(): Command {
  return new Command("readme")
    .summary("write README's tables from results")
    .description("Writes README's tables from what benchmarks printed with --json.")
    .argument("[results...]", "files of JSON lines (default: all of test/bench/results, by name)")
    .option("--readme <file>", "file to write to", README)
    .addHelpText("after", NOTES)
    .action((files: string[], flags: ReadmeFlags) => runReadme(files, flags));
}

async function runReadme(files: readonly string[], { readme }: ReadmeFlags): Promise<void> {
  const sources = files.length > 0 ? files : await committedResults();
  const results = [];
  for (const source of sources) results.push(...parseResults(await read(source), source));
  const { text, written, kept } = rewriteReadme(await read(readme), results);
  if (written.length === 0) {
    throw new FormatError(
      `"${readme}" must have a table that the results fill: ` +
        (kept.length === 0 ? "it has no marker" : `they say nothing of ${kept.join(", ")}`),
    );
  }
  await Deno.writeTextFile(readme, await formatMarkdown(text));
  printLine(`${readme}: ${written.join(", ")}`);
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
