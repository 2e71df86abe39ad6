/** Draws and scores a suite picture by picture: one that is there is not drawn again. @module */

import { dirname, join } from "node:path";
import { mkdir } from "node:fs/promises";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { readImage } from "../../image/read_image.ts";
import type { JobSpec } from "../../jobs/job_spec.ts";
import { type JobRun, runJob } from "../../jobs/run_job.ts";
import { storeImages } from "../../jobs/store_images.ts";
import type { PictureJudge } from "../judges/judge.ts";
import type { PictureScores, ScoreFile } from "./score_file.ts";

/** One picture of a suite. */
export interface SuitePicture {
  readonly row: number;
  readonly prompt: number;
  readonly seed: bigint;
  readonly spec: JobSpec;
  /** Relative to the run's folder. */
  readonly picture: string;
}

export interface SuiteRun {
  readonly folder: string;
  readonly scores: ScoreFile;
  readonly judges: readonly PictureJudge[];
  readonly run: Omit<JobRun, "spec" | "onStep">;
  /** Told how many steps of all are done. */
  readonly onProgress: (steps: number, picture: SuitePicture) => void;
}

export async function runSuite(
  pictures: readonly SuitePicture[],
  { folder, scores, judges, run, onProgress }: SuiteRun,
): Promise<void> {
  let steps = 0;
  for (const picture of pictures) {
    const { spec } = picture;
    onProgress(steps, picture);
    const known = scores.get(picture);
    const path = join(folder, picture.picture);
    const isThere = await exists(path);
    let msPerPicture = known?.msPerPicture;
    if (!isThere) {
      const onStep = (done: number) => onProgress(steps + done, picture);
      const drawn = await runJob({ ...run, spec, onStep });
      await mkdir(dirname(path), { recursive: true });
      await storeImages(run.ensemble, drawn, [path]);
      msPerPicture = drawn.samplingMs;
    }
    steps += spec.steps;
    const missing = judges.filter(({ name }) => known?.scores[name] === undefined);
    if (known && missing.length === 0 && isThere) continue;
    const image = await readImage(path);
    const own: Record<string, number> = { ...(isThere && known?.scores) };
    for (const judge of isThere ? missing : judges) {
      own[judge.name] = await judge.score({ image, prompt: spec.prompt });
    }
    await scores.append(scoresOf(picture, own, msPerPicture));
  }
}

function scoresOf(
  { row, prompt, seed, picture }: SuitePicture,
  scores: Readonly<Record<string, number>>,
  msPerPicture: number | undefined,
): PictureScores {
  return {
    ...{ row, prompt, seed: String(seed), picture },
    ...(msPerPicture !== undefined && { msPerPicture }),
    scores,
  };
}
