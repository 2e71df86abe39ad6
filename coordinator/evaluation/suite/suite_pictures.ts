/** All pictures of a suite, and whether those that are in its folder are of it. @module */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { UsageError } from "../../../shared/errors.ts";
import { readRegularText } from "../../../shared/regular_file.ts";
import { writeWholeFile } from "../../../shared/whole_file.ts";
import type { Ensemble } from "../../ensemble/ensemble.ts";
import { jobSpecToJson, newJob } from "../../jobs/job_spec.ts";
import type { Settings } from "../../settings/settings.ts";
import type { SuiteRow } from "./report.ts";
import type { SuitePicture } from "./run_suite.ts";
import type { Suite } from "./suite_file.ts";

/** What is wanted of one prompt. */
interface WantedPicture {
  readonly prompt: string;
  readonly chosen: { readonly settings: Settings };
}

/** Each method with each number of steps. */
export function suiteRows({ methods, steps }: Suite, usualSteps: number): SuiteRow[] {
  const counts = steps.length > 0 ? steps : [usualSteps];
  return methods.flatMap((method) =>
    counts.map((count) => ({
      title: counts.length > 1 ? `${method}, ${count} steps` : method,
      method,
      steps: count,
    }))
  );
}

/** In an order in which what is done half-way compares already. */
export function suitePictures(
  { seeds }: Suite,
  rows: readonly SuiteRow[],
  wanted: readonly WantedPicture[],
  { name }: Pick<Ensemble, "name">,
): SuitePicture[] {
  return wanted.flatMap(({ prompt, chosen: { settings } }, p) =>
    seeds.flatMap((seed) =>
      rows.map(({ method, steps }, row) => ({
        ...{ row, seed, prompt: p },
        spec: newJob({ prompt, seeds: [seed], ensemble: name }, {
          ...settings,
          ...{ method, steps },
        }),
        picture: join("pictures", folderName(row, method, steps), `${p + 1}-${seed}.png`),
      }))
    )
  );
}

function folderName(row: number, method: string, steps: number): string {
  return `${row + 1}-${method.replaceAll(/[^A-Za-z0-9.=-]+/g, "_").slice(0, 60)}-${steps}`;
}

/**
 * Keeps what is drawn, and holds it against what was drawn there before.
 *
 * @throws {UsageError} if the folder has pictures of another suite, other settings or other models
 */
export async function checkSame(
  out: string,
  { members, vaeHash, sabw }: Ensemble,
  pictures: readonly SuitePicture[],
): Promise<void> {
  const models = members.map(({ expert }) => expert.description.modelHash);
  const drawn = { models, vaeHash, sabw: sabw?.hash ?? null };
  const specs = pictures.map(({ picture, spec }) => [picture, jobSpecToJson(spec)]);
  const hash = createHash("sha256").update(JSON.stringify([drawn, specs])).digest("hex");
  const path = join(out, "suite.sha256");
  if (!await exists(path)) return await writeWholeFile(path, `${hash}\n`);
  if ((await readRegularText(path)).trim() === hash) return;
  throw new UsageError(
    `"${out}" has pictures of another suite, other settings or other models: choose another --out, or remove it`,
  );
}
