/** Pictures of a merge that is being tried: the same prompts and seeds every time. @module */

import { join } from "node:path";
import { readRegularFile } from "../../shared/regular_file.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { decodePng } from "../image/png.ts";
import { newJob } from "../jobs/job_spec.ts";
import { runJob } from "../jobs/run_job.ts";
import { storeImages } from "../jobs/store_images.ts";
import type { ImageSize } from "../settings/picture_values.ts";

export interface PictureSettings {
  readonly prompts: readonly string[];
  readonly seed: bigint;
  readonly steps: number;
  readonly size?: ImageSize;
}

export interface DrawOptions extends PictureSettings {
  readonly folder: string;
  /** What the files' names begin with. */
  readonly name: string;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/** @returns file names in the folder, one per prompt */
export async function drawCandidate(
  ensemble: Ensemble,
  { prompts, seed, steps, size, folder, name, warn, signal }: DrawOptions,
): Promise<string[]> {
  const files: string[] = [];
  for (const [i, prompt] of prompts.entries()) {
    const spec = newJob(
      { prompt, seeds: [seed], ensemble: ensemble.name },
      { steps, ...(size && { size }) },
    );
    const file = `${name}-${i + 1}.png`;
    const drawn = await runJob({ ensemble, spec, warn, signal });
    await storeImages(ensemble, drawn, [join(folder, file)]);
    files.push(file);
  }
  return files;
}

/** Levels of 255 that two pictures may differ by on average and still look the same. */
const UNSEEN_LEVELS = 0.5;

/** Whether nobody would tell these pictures from the others. */
export async function lookAlike(
  pictures: readonly string[],
  others: readonly string[],
): Promise<boolean> {
  for (const [i, path] of pictures.entries()) {
    const [{ rgb }, { rgb: other }] = await Promise.all(
      [path, others[i]!].map(async (file) => decodePng(await readRegularFile(file))),
    ) as [ReturnType<typeof decodePng>, ReturnType<typeof decodePng>];
    const sum = rgb.reduce((total, level, j) => total + Math.abs(level - other[j]!), 0);
    if (sum / rgb.length > UNSEEN_LEVELS) return false;
  }
  return true;
}
