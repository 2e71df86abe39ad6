/**
 * README's table of what the cluster survives, between `<!-- fault -->` and `<!-- /fault -->`.
 *
 * @module
 */

import { FormatError } from "../../../shared/errors.ts";
import type { Spread, Summary } from "./summary.ts";

const TITLES = ["scenario", "images", "events", "failed", "other bits", "noticed", "replaced"];

export function faultRows(summaries: readonly Summary[]): string[][] {
  return summaries.map((summary) => {
    const { what, images, strikes, failed, otherBits, noticedMs, replacedMs, checks } = summary;
    const isBroken = checks.some(({ problem }) => problem !== undefined);
    return [
      isBroken ? `**broken:** ${what}` : what,
      ...[images, strikes, failed, otherBits].map(String),
      ...[noticedMs, replacedMs].map(formatSpread),
    ];
  });
}

/** Not aligned: `deno fmt` does that. */
export function withFaultTable(readme: string, summaries: readonly Summary[]): string {
  const [begin, end] = ["<!-- fault -->", "<!-- /fault -->"].map((mark) => {
    const at = readme.indexOf(mark);
    if (at < 0) throw new FormatError(`README must have the marker ${mark}`);
    return { start: at, end: at + mark.length };
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const alignment = TITLES.map((_, column) => column === 0 ? "---" : "---:");
  const table = [TITLES, alignment, ...faultRows(summaries)].map(line).join("\n");
  return `${readme.slice(0, begin!.end)}\n\n${table}\n\n${readme.slice(end!.start)}`;
}

function formatSpread(spread: Spread | undefined): string {
  return spread === undefined ? "" : `${spread.p50} ms (most ${spread.most})`;
}
