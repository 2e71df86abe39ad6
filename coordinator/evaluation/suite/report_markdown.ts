/** A suite's report as Markdown. @module */

import { formatDuration } from "../../../shared/terminal/units.ts";
import type { JudgeSummary, RowReport, SuiteReport } from "./report.ts";

export function reportMarkdown(report: SuiteReport): string {
  const { ensemble, prompts, seeds, rows, agreement } = report;
  const titles = tableTitles(report);
  const hasJudges = Object.keys(rows[0]!.judges).length > 0;
  const agrees = agreementText(agreement);
  return [
    `# ${ensemble}`,
    "",
    `${prompts.length} prompts, ${seeds.length} seeds each. More is better of judges, less of distances.`,
    ...(hasJudges
      ? [
        `Beside each mean: the difference from ${
          rows[0]!.title
        } on the same prompts and seeds, with its 95 % interval.`,
      ]
      : []),
    "",
    tableRow(titles),
    tableRow(titles.map(() => "---")),
    ...tableCells(report).map(tableRow),
    "",
    ...(agrees === undefined ? [] : [agrees, ""]),
  ].join("\n");
}

function judgeCell({ mean, difference }: JudgeSummary): string {
  if (!difference) return shortNumber(mean);
  const { mean: by, low, high } = difference;
  return `${shortNumber(mean)} (${signed(by)}, ${signed(low)} to ${signed(high)})`;
}

export function timeCell({ msPerPicture }: RowReport): string {
  return msPerPicture === undefined ? "-" : formatDuration(msPerPicture);
}

/** Three digits that count: judges are not surer than that. "-" for what is no number. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

/** A line for all judges; undefined where there are no two. */
export function agreementText(agreement: SuiteReport["agreement"]): string | undefined {
  if (agreement.length === 0) return undefined;
  const pairs = agreement.map(({ judges: [a, b], rho }) =>
    `${a} and ${b} ${Number.isNaN(rho) ? "-" : rho.toFixed(2)}`
  );
  return `Rank correlation of judges over all pictures: ${pairs.join(", ")}.`;
}

/** One line per way of drawing, without the titles. */
export function tableCells({ rows }: SuiteReport): string[][] {
  return rows.map((row) => [
    row.title,
    ...Object.values(row.judges).map(judgeCell),
    ...Object.values(row.distances).map(shortNumber),
    timeCell(row),
  ]);
}

export function tableTitles({ rows: [first] }: SuiteReport): string[] {
  const { judges, distances } = first!;
  return ["way of drawing", ...Object.keys(judges), ...Object.keys(distances), "a picture"];
}

function signed(value: number): string {
  return `${value >= 0 ? "+" : ""}${shortNumber(value)}`;
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
}
