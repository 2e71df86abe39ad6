/** What `tutti sample` prints of its pictures, for people or as JSON. @module */

import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import type { DrawnImages } from "../jobs/run_job.ts";
import type { DrawingEnsemble } from "./drawing_ensemble.ts";
import type { SampleStats } from "./sample_stats.ts";

export interface ReportFlags {
  /** A file of prompts: then pictures tell theirs. */
  readonly prompts?: string;
  readonly stats: boolean;
  readonly json: boolean;
}

/** The pictures of one prompt. */
export interface StoredJob {
  /** One per image. */
  readonly paths: readonly string[];
  readonly facts: DrawnImages["facts"];
  readonly samplingMs: number;
}

/** What `tutti sample` has drawn, and how it fared. */
export interface StoredRun extends Pick<DrawingEnsemble, "ensemble" | "fallbacks" | "replicas"> {
  readonly stored: readonly StoredJob[];
  readonly resumedAfterStep?: number;
  readonly elapsedMs: number;
  readonly stats: SampleStats;
  readonly note: (text: string) => void;
}

export function printStored(flags: ReportFlags, run: StoredRun): void {
  const { stored, ensemble, resumedAfterStep, elapsedMs, stats, fallbacks, replicas, note } = run;
  const images = stored.flatMap(({ paths, facts }) =>
    paths.map((path, i) => ({ path, facts: facts[i]! }))
  );
  const samplingMs = stored.reduce((sum, job) => sum + job.samplingMs, 0);
  const steps = stored.reduce((sum, { facts }) => sum + facts[0]!.spec.steps, 0);
  if (flags.json) {
    printJson({
      images: images.map(({ path, facts: { seed, width, height, spec } }) => ({
        ...{ path, seed, width, height },
        ...(flags.prompts !== undefined && { prompt: spec.prompt }),
      })),
      elapsedMs,
      samplingMs,
      steps,
      ...(resumedAfterStep !== undefined && { resumedAfterStep }),
      ...(flags.stats && {
        stats: stats.blocks(),
        planes: stats.planes(),
        fallbacks: fallbacks.list(),
        replicas: replicas.stats(),
      }),
    });
    return;
  }
  if (flags.stats) {
    const planes = stats.planes().map((plane, i) => `${ensemble.members[i]!.name} ${plane}`);
    printLine(`Means of ${steps - (resumedAfterStep ?? 0)} steps:\n${stats.format()}`);
    printLine(`Planes: ${planes.join(", ")}\n`);
  }
  note(`Sampled in ${formatDuration(samplingMs)}, all in ${formatDuration(elapsedMs)}`);
  for (const { path, facts } of images) printLine(`${path} (seed ${facts.seed})`);
}
