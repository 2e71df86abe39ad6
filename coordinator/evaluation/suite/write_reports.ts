/** A suite's reports, as files in its folder. @module */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeWholeFile } from "../../../shared/whole_file.ts";
import { readImage } from "../../image/read_image.ts";
import type { Judges } from "../judges/judge.ts";
import { type SuiteReport, suiteReport, type SuiteRow } from "./report.ts";
import { reportMarkdown } from "./report_markdown.ts";
import { reportPage } from "./report_page.ts";
import type { ScoreFile } from "./score_file.ts";
import { setDistances } from "./set_distances.ts";
import type { Suite } from "./suite_file.ts";

/** Prompts whose pictures the page shows. */
const SHOWN_PROMPTS = 12;

export interface ReportContext {
  readonly suite: Suite;
  /** Paths of real pictures. */
  readonly real: readonly string[] | undefined;
  readonly rows: readonly SuiteRow[];
  readonly judges: Judges;
  readonly scores: ScoreFile;
  readonly ensemble: string;
  readonly prompts: readonly string[];
  readonly signal: AbortSignal;
  /** Told how many pictures have been looked at, for distances of sets. */
  readonly onProgress: (done: number) => void;
}

/** `report.json`, `report.md` and `report.html`. */
export async function writeReports(out: string, context: ReportContext): Promise<SuiteReport> {
  const { suite, rows, judges, scores, ensemble, prompts } = context;
  const report = suiteReport({
    ...{ ensemble, prompts, rows },
    seeds: suite.seeds.map(String),
    judges: judges.ofPictures.map(({ name }) => name),
    scores: scores.all,
    distances: await distancesOf(out, context),
  });
  await mkdir(out, { recursive: true });
  const json = { version: 1, ...report };
  const shown = prompts.slice(0, SHOWN_PROMPTS).map(async (title, prompt) => ({
    title,
    pictures: await Promise.all(rows.map((_, row) => {
      const seed = report.seeds[0]!;
      const one = scores.all.find((each) =>
        each.row === row && each.prompt === prompt && each.seed === seed
      )!;
      return readImage(join(out, one.picture));
    })),
  }));
  await Promise.all([
    writeWholeFile(join(out, "report.json"), `${JSON.stringify(json, null, 1)}\n`),
    writeWholeFile(join(out, "report.md"), reportMarkdown(report)),
    writeWholeFile(join(out, "report.html"), await reportPage(report, await Promise.all(shown))),
  ]);
  return report;
}

async function distancesOf(
  out: string,
  { real, rows, judges, scores, signal, onProgress }: ReportContext,
): Promise<Record<string, number>[]> {
  if (!real) return [];
  return await setDistances({
    ...{ real, judges: judges.ofSets, signal, onProgress },
    rows: rows.map((_, row) =>
      scores.all.filter((one) => one.row === row).map(({ picture }) => join(out, picture))
    ),
  });
}
