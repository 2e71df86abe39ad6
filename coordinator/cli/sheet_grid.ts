/** Draws the cells of a sheet, row by row behind one progress bar. @module */

import { Progress } from "../../shared/terminal/progress.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { f32 } from "../../shared/tensor/tensor.ts";
import { imageToRgb } from "../image/pixels.ts";
import type { RgbImage } from "../image/resize.ts";
import { newJob } from "../jobs/job_spec.ts";
import { type DrawnImages, type JobRun, runJob } from "../jobs/run_job.ts";
import { type PictureJob, refusalIn } from "./picture_jobs.ts";

/** What one job has drawn. */
export interface SheetCell {
  readonly pictures: readonly RgbImage[];
  /** What sampling took, without decoding. */
  readonly msPerPicture: number;
}

/**
 * @param rows by row and column what is to be drawn
 * @returns by row and column what was
 */
export async function drawGrid(
  rows: readonly (readonly PictureJob[])[],
  run: Omit<JobRun, "spec" | "origins" | "onStep">,
  isSilent: boolean,
): Promise<SheetCell[][]> {
  const jobs = rows.flat();
  using progress = new Progress({
    label: "Drawing",
    total: jobs.reduce((sum, { spec }) => sum + spec.steps, 0),
    terminal: stderrTerminal(),
    now: () => performance.now(),
    isSilent,
  });
  await warmUp(jobs[0]!, run);
  const grid: SheetCell[][] = [];
  let steps = 0, begun = 0;
  for (const row of rows) {
    const cells: SheetCell[] = [];
    for (const { spec, origins, where } of row) {
      const label = `Drawing ${++begun} of ${jobs.length}`;
      const drawn = await runJob({
        ...run,
        ...{ spec, origins },
        onStep: (stepsDone) => progress.update(steps + stepsDone, label),
      }).catch((error) => {
        throw refusalIn(where, error);
      });
      steps += spec.steps;
      const pictures = picturesOf(drawn);
      cells.push({ pictures, msPerPicture: drawn.samplingMs / pictures.length });
    }
    grid.push(cells);
  }
  return grid;
}

/** One step by all experts and trained aggregators: what is built the first time is not the first column's time. */
async function warmUp(
  { spec: { prompt, seeds, ensemble, size, guidance } }: PictureJob,
  run: Parameters<typeof drawGrid>[1],
): Promise<void> {
  const method = run.ensemble.featuresDiffer === undefined ? {} : { method: "noise-average" };
  const settings = { ...method, ...(size && { size }), guidance, sampler: "euler", steps: 1 };
  await runJob({ ...run, spec: newJob({ prompt, seeds, ensemble }, settings), warn: () => {} });
}

function picturesOf({ images: { data, shape } }: DrawnImages): RgbImage[] {
  const [count = 0, channels = 0, height = 0, width = 0] = shape;
  const size = channels * height * width;
  return Array.from({ length: count }, (_, i) => {
    const image = f32([channels, height, width], data.subarray(i * size, (i + 1) * size));
    return { width, height, rgb: imageToRgb(image) };
  });
}
