/** What `tutti train` tells and leaves behind: the loss curve, how much each expert is used, and what that gained. @module */

import { join } from "node:path";
import { readRegularText } from "../../shared/regular_file.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { lineChart, type Series } from "../plots/line_chart.ts";
import type { AttentionUsage } from "../training/attention_usage.ts";
import type { Comparison } from "../training/compare_baselines.ts";
import type { SkippedFile } from "../training/dataset/records.ts";
import { PASS_PARTS, type PassTimes } from "../training/pass_times.ts";
import type { PreparedTraining } from "../training/prepare_training.ts";
import type { TrainingResult, TrainingRun } from "../training/run_training.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";

/** Names of skipped files that are printed. */
const MOST_NAMED = 10;

/** A line per file, the first of them by name. */
export function skippedWarnings(skipped: readonly SkippedFile[]): string[] {
  const named = skipped.slice(0, MOST_NAMED);
  const warnings = named.map(({ path, reason }) => `skipped ${path}: ${reason}`);
  if (skipped.length > MOST_NAMED) warnings.push(`skipped ${skipped.length} files in all`);
  return warnings;
}

export function dataSummary({ run, skipped, cutTexts }: PreparedTraining): {
  readonly text: string;
  readonly warnings: readonly string[];
  readonly json: Readonly<Record<string, unknown>>;
} {
  const heldOut = new Set(run.heldOut.map(({ example }) => example)).size;
  const images = run.examples.length;
  const warnings = skippedWarnings(skipped);
  if (cutTexts > 0) {
    warnings.push(`${cutTexts} texts are longer than the text encoder takes: their ends are cut`);
  }
  const { latents } = run.metadata.recipe;
  return {
    text: `${images} images to train with, ${heldOut} held out, ` +
      (latents === "mean" ? "latents are the VAE's means" : "latents are samples of the VAE's"),
    warnings,
    json: { images, heldOut, latents, cutTexts, skipped },
  };
}

/** A row per block, and one for all of them. */
export function usageTable(usage: AttentionUsage, names: readonly string[]): string {
  const cells = (shares: readonly number[]) => shares.map((value) => value.toFixed(3));
  const columns = ["block", ...names.map((title) => ({ title, align: "right" as const }))];
  return formatTable(columns, [
    ...usage.blocks().map(({ block, shares }) => [block, ...cells(shares)]),
    ["mean", ...cells(usage.overall())],
  ]);
}

export function comparisonTable(comparisons: readonly Comparison[]): string {
  const columns = [
    "",
    ...["loss", "SABW minus this", "95 %"].map((title) => ({
      title,
      align: "right" as const,
    })),
  ];
  return formatTable(
    columns,
    comparisons.map(({ name, loss, difference }) => [
      name,
      loss.toFixed(5),
      ...(difference ? [difference.mean.toFixed(5), `± ${difference.halfWidth.toFixed(5)}`] : []),
    ]),
  );
}

/** What this process did of a run. */
export interface TrainingTotals {
  /** Held-out losses included. */
  readonly trainingMs: number;
  readonly heldOutMs: number;
  /** That went forward and back. */
  readonly images: number;
}

export function timesTable(times: PassTimes, totals: TrainingTotals): string {
  const { trainingMs, heldOutMs } = totals;
  const parts = [
    ...PASS_PARTS.map((part) => [part, times.get(part)] as const),
    ["held-out losses", heldOutMs] as const,
  ];
  const rest = parts.reduce((left, [, ms]) => left - ms, trainingMs);
  const right = (title: string) => ({ title, align: "right" as const });
  const table = formatTable(
    ["part", right("seconds"), right("share")],
    [...parts, ["data, optimizer and files", rest] as const].map(([part, ms]) => [
      part,
      (ms / 1000).toFixed(1),
      `${(100 * ms / trainingMs).toFixed(1)} %`,
    ]),
  );
  return totals.images === 0 ? table : `${table}\n${ratesText(times, totals)}`;
}

function ratesText(times: PassTimes, { trainingMs, heldOutMs, images }: TrainingTotals): string {
  const { forwardMs, backwardMs } = times;
  const rate = (ms: number) => `${(images * 1000 / ms).toFixed(1)} images/s`;
  return `${rate(trainingMs - heldOutMs)} in all, ${rate(forwardMs)} forward only; ` +
    `the way back takes ${(backwardMs / forwardMs).toFixed(2)} times the way forward`;
}

/** `loss.svg` and `report.json` in the run's folder. */
export async function writeReport(
  out: string,
  { metadata }: TrainingRun,
  { steps, losses, heldOut, isStoppedEarly, usage }: TrainingResult,
  { names, comparisons, skipped }: {
    readonly names: readonly string[];
    readonly comparisons: readonly Comparison[];
    readonly skipped: readonly SkippedFile[];
  },
): Promise<void> {
  await writeWholeFile(join(out, "loss.svg"), lossCurve(losses, heldOut));
  const path = join(out, "report.json");
  // A run that was over already has measured nothing now.
  const measured = usage.blocks().length > 0
    ? { usage: { experts: names, overall: usage.overall(), blocks: usage.blocks() } }
    : await usageBefore(path);
  const report = {
    ...{ steps, isStoppedEarly, recipe: metadata.recipe, losses, heldOut, comparisons, skipped },
    ...measured,
  };
  await writeWholeFile(path, `${JSON.stringify(report, null, 1)}\n`);
}

/** Of an earlier report, if there is one. */
async function usageBefore(path: string): Promise<{ readonly usage?: unknown }> {
  try {
    const { usage } = JSON.parse(await readRegularText(path)) as { usage?: unknown };
    return usage === undefined ? {} : { usage };
  } catch {
    return {};
  }
}

/** Share of the newest loss in the running mean. */
const NEWEST_SHARE = 0.05;

function lossCurve(losses: readonly number[], heldOut: TrainingResult["heldOut"]): string {
  const steps = losses.map((loss, i) => [i + 1, loss] as const);
  let mean = losses[0] ?? 0;
  const smooth = steps.map(([step, loss]) => [step, mean += NEWEST_SHARE * (loss - mean)] as const);
  const series: Series[] = [
    { name: "loss of a step", points: steps, isPale: true },
    { name: "running mean", points: smooth },
    { name: "held out", points: heldOut.map(({ step, loss }) => [step, loss]) },
  ];
  return lineChart({
    title: "Training of SABW",
    xLabel: "step",
    yLabel: "loss (mean of squares)",
    series: series.filter(({ points }) => points.length > 0),
  });
}
