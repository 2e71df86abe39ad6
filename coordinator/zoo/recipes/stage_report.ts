/** What a stage leaves behind besides its model: the loss curve and what the model is worth. @module */

import { join } from "node:path";
import { writeWholeFile } from "../../../shared/whole_file.ts";
import { lineChart } from "../../plots/line_chart.ts";
import type { Stage } from "./recipe.ts";
import type { StageResult } from "./stage_context.ts";

/** Share of the newest loss in the running mean. */
const NEWEST_SHARE = 0.02;

/** Of a stage that is done. */
export const STAGE_REPORT = "report.json";

/** `loss.svg`, then `report.json`, which is there whole or not at all. */
export async function writeStageReport(
  folder: string,
  stage: Stage,
  { losses, quality }: StageResult,
): Promise<void> {
  let mean = losses[0] ?? 0;
  const points = losses.map((loss, i) => [i + 1, loss] as const);
  const smooth = points.map(([step, loss]) =>
    [step, mean += NEWEST_SHARE * (loss - mean)] as const
  );
  const chart = lineChart({
    ...{ title: `Training of ${stage}`, xLabel: "step", yLabel: "loss" },
    series: [
      { name: "loss of a step", points, isPale: true },
      { name: "running mean", points: smooth },
    ],
  });
  await Deno.writeTextFile(join(folder, "loss.svg"), chart);
  const report = { stage, steps: losses.length, quality, losses };
  const path = join(folder, STAGE_REPORT);
  await writeWholeFile(path, `${JSON.stringify(report, null, 1)}\n`);
}
