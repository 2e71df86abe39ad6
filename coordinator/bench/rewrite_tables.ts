/**
 * Writes the results of benchmarks into a page of documentation (`docs/benchmarks.md`), between markers:
 *
 * ```md
 * <!-- bench:overhead -->
 * ...
 * <!-- /bench:overhead -->
 * ```
 *
 * @module
 */

import { FormatError } from "../../shared/errors.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import type { BenchResult } from "./bench_result.ts";
import { BENCH_TABLES } from "./bench_tables.ts";

export interface Rewritten {
  readonly text: string;
  /** Tables that were made anew, in the page's order. */
  readonly written: readonly string[];
  /** Tables that the results say nothing of; they stay as they were. */
  readonly kept: readonly string[];
}

const MARKER = /<!-- (\/?)bench:([^ ]*) -->/g;
/** Digits of a commit's hash, as git prints them for people. */
const SHORT_HASH = 9;

/** @throws {FormatError} on a table that is not known, a marker without its other half, or one within another */
export function rewriteTables(text: string, results: readonly BenchResult[]): Rewritten {
  const latest = keepLatest(results);
  const written: string[] = [], kept: string[] = [];
  let rewritten = "", copied = 0;
  for (const { name, start, end } of findTables(text)) {
    const table = tableText(name, latest);
    (table === undefined ? kept : written).push(name);
    if (table === undefined) continue;
    rewritten += `${text.slice(copied, start)}\n\n${table}\n\n`;
    copied = end;
  }
  return { text: rewritten + text.slice(copied), written, kept };
}

/** Where the text between the markers of each table starts and ends. */
export function findTables(
  text: string,
): { readonly name: string; readonly start: number; readonly end: number }[] {
  const tables = [];
  let open: { name: string; start: number } | undefined;
  for (const match of text.matchAll(MARKER)) {
    const [marker, slash, name = ""] = match;
    if (slash === "" && open === undefined) {
      if (!Object.hasOwn(BENCH_TABLES, name)) throw unknownTable(name);
      open = { name, start: match.index + marker.length };
    } else if (slash !== "" && open?.name === name) {
      tables.push({ ...open, end: match.index });
      open = undefined;
    } else {
      const wanted = open ? `<!-- /bench:${open.name} -->` : "a marker that begins a table";
      throw new FormatError(`Marker ${marker} must be ${wanted}`);
    }
  }
  if (open) throw new FormatError(`Marker <!-- bench:${open.name} --> has no end`);
  return tables;
}

function unknownTable(name: string): FormatError {
  const names = Object.keys(BENCH_TABLES);
  return new FormatError(
    `Marker "bench:${name}" must name one of ${names.join(", ")}${didYouMean(name, names)}`,
  );
}

/** Of several measurements of one thing the last one counts. */
function keepLatest(results: readonly BenchResult[]): BenchResult[] {
  const latest = new Map<string, BenchResult>();
  for (const result of results) {
    const { bench, name, conditions: { model = "", size = "" } = {} } = result;
    latest.set(JSON.stringify([bench, name, model, size]), result);
  }
  return [...latest.values()];
}

/** Not aligned: `deno fmt` does that. */
function tableText(name: string, results: readonly BenchResult[]): string | undefined {
  const { titles, rows } = BENCH_TABLES[name]!;
  const cells = rows(results);
  if (cells.length === 0) return undefined;
  const line = (row: readonly string[]) =>
    `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const alignment = titles.map((_, column) => column === 0 ? "---" : "---:");
  const table = [titles, alignment, ...cells].map(line).join("\n");
  return `${table}\n\n${origin(results.filter(({ bench }) => bench === name))}`;
}

/** `Measured on AMD EPYC, 2 cores, 25.3 GB; commit 1234567.` */
function origin(results: readonly BenchResult[]): string {
  const origins = results.map(({ machine: { cpu, cores, memoryBytes }, commit }) =>
    `${cpu}, ${cores} cores, ${formatBytes(memoryBytes)}; commit ${shortHash(commit)}`
  );
  return `Measured on ${[...new Set(origins)].join(", and on ")}.`;
}

function shortHash(commit: string): string {
  return commit.replace(/^[0-9a-f]{40}/, (hash) => hash.slice(0, SHORT_HASH));
}
