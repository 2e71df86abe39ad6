/**
 * The table of what the cluster survives in `docs/faults.md`, between `<!-- fault -->` and `<!-- /fault -->`.
 *
 * @module
 */

import { FormatError } from "../../../shared/errors.ts";
import type { HeldResources, ProcessHolding } from "./held_resources.ts";
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
export function withFaultTable(page: string, summaries: readonly Summary[]): string {
  const [begin, end] = ["<!-- fault -->", "<!-- /fault -->"].map((mark) => {
    const at = page.indexOf(mark);
    if (at < 0) throw new FormatError(`docs/faults.md must have the marker ${mark}`);
    return { start: at, end: at + mark.length };
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const alignment = TITLES.map((_, column) => column === 0 ? "---" : "---:");
  const table = [TITLES, alignment, ...faultRows(summaries)].map(line).join("\n");
  const held = summaries.flatMap(({ scenario, held }) => held ? heldText(scenario, held) : []);
  const text = [table, ...held].join("\n\n");
  return `${page.slice(0, begin!.end)}\n\n${text}\n\n${page.slice(end!.start)}`;
}

/** A paragraph: what processes hold at the end, and in brackets what they held before. */
function heldText(
  scenario: string,
  { before, after }: NonNullable<Summary["held"]>,
): string {
  const of = (who: keyof HeldResources) => {
    const [then, now] = [before[who], after[who]];
    return `${megabytes(now)} MB resident (${megabytes(then)}), ` +
      `${now.descriptors} descriptors (${then.descriptors}), ` +
      `${now.regions} regions of shared memory (${then.regions})`;
  };
  return `Held at the end of ${scenario}, and in brackets after its first images (the coordinator's memory: ` +
    `after a sixth of the time): the coordinator ` +
    `${of("coordinator")}; no worker more than ${of("workers")}.`;
}

const megabytes = ({ residentBytes }: ProcessHolding) => Math.round(residentBytes / 1e6);

function formatSpread(spread: Spread | undefined): string {
  return spread === undefined ? "" : `${spread.p50} ms (most ${spread.most})`;
}
