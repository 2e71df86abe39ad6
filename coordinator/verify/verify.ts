/**
 * Compares this build, on this machine, with a folder of goldens: one result per check, as each ends.
 *
 * @module
 */

import { join } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import type { ComputeOptions } from "../../shared/engine/lower_graph.ts";
import { TuttiError } from "../../shared/errors.ts";
import { isFamily } from "../../shared/models/families.ts";
import { type CheckResult, type Comparison, judge, type Skipped, skipped } from "./check.ts";
import { checkAblations, checkAfa } from "./checks/ensemble.ts";
import { checkAfaGradients } from "./checks/gradients.ts";
import { checkNoise } from "./checks/noise.ts";
import { checkSample } from "./checks/sample.ts";
import { checkSchedulers } from "./checks/schedulers.ts";
import { checkSingleFile } from "./checks/single_files.ts";
import { checkText } from "./checks/text.ts";
import { checkTokenizer } from "./checks/tokenizer.ts";
import { checkUNet } from "./checks/unet.ts";
import { checkVae } from "./checks/vae.ts";
import { FamilyContext, type OpenExpert } from "./context.ts";
import { verifyEval } from "./eval/verify_eval.ts";
import {
  type CheckSpec,
  readFamilyManifest,
  readRootManifest,
  type RootManifest,
  toleranceOf,
} from "./manifest.ts";

type Check = (context: FamilyContext, spec: CheckSpec) => Promise<Comparison[] | Skipped>;

/** How each check of a family's manifest is run, by its name there. */
const CHECKS: Readonly<Record<string, Check>> = {
  unet: checkUNet,
  unet_odd_size: checkUNet,
  text: checkText,
  vae: checkVae,
  afa: checkAfa,
  afa_gradients: checkAfaGradients,
  ablations: checkAblations,
  sample: checkSample,
};

/** What the manifests call the tolerance of a check; of others, "forward". */
const TOLERANCES: Readonly<Record<string, string>> = { afa_gradients: "gradient" };

export interface VerifyOptions {
  readonly lane: ComputeOptions;
  readonly openExpert: OpenExpert;
  /** Least tolerance of what the device computes: the manifests' are for processors. */
  readonly leastTolerance: number;
  /** Whether a check of this name is wanted. */
  readonly isWanted: (name: string) => boolean;
}

/**
 * @throws {FormatError} if the folder has no manifest that can be read; a check that cannot run is a
 * failed result, not an exception
 */
export async function* verify(
  folder: string,
  options: VerifyOptions,
): AsyncGenerator<CheckResult, void, void> {
  const root = await readRootManifest(folder);
  // These take no time.
  for await (const result of verifyRoot(folder, root)) {
    if (options.isWanted(result.name)) yield result;
  }
  for (const name of root.folders) yield* verifyFamily(join(folder, name), name, options);
  yield* verifyEval(join(folder, "eval"), options);
}

async function* verifyRoot(folder: string, root: RootManifest): AsyncGenerator<CheckResult> {
  const { noise, tokenizer, schedulers } = root;
  if (noise) yield await run("noise", noise.tolerance, () => checkNoise(join(folder, noise.file)));
  if (tokenizer) {
    const path = join(folder, tokenizer.folder);
    yield tokenizer.optional && !await exists(path)
      ? skipped("tokenizer", `"${path}" is not there (the CLIP vocabulary is third-party data)`)
      : await run("tokenizer", 0, () => checkTokenizer(path));
  }
  if (schedulers) {
    try {
      for (const [name, comparisons] of await checkSchedulers(join(folder, schedulers.file))) {
        const check = `schedulers/${name}`;
        yield comparisons
          ? judge(check, comparisons, schedulers.tolerance)
          : skipped(check, "this scheduler is not built yet");
      }
    } catch (error) {
      yield failure("schedulers", error);
    }
  }
}

async function* verifyFamily(
  folder: string,
  name: string,
  { lane, openExpert, leastTolerance, isWanted }: VerifyOptions,
): AsyncGenerator<CheckResult> {
  const manifest = await readFamilyManifest(folder);
  const checks = Object.entries(manifest.checks)
    .map(([check, spec]) => ({ check, name: `${name}/${check}`, spec }))
    .filter((entry) => isWanted(entry.name));
  const files = (manifest.single_files ?? [])
    .map((spec) => ({ name: `${name}/${spec.file}`, spec }))
    .filter((entry) => isWanted(entry.name));
  if (!isFamily(manifest.family)) {
    for (const entry of [...checks, ...files]) {
      yield skipped(entry.name, `the family ${manifest.family} is not built yet`);
    }
    return;
  }
  const context = new FamilyContext(folder, manifest, lane, openExpert);
  try {
    for (const { check, name, spec } of checks) {
      const runCheck = CHECKS[check];
      const kind = TOLERANCES[check] ?? "forward";
      const tolerance = () => Math.max(leastTolerance, toleranceOf(manifest, kind, spec));
      yield runCheck
        ? await run(name, tolerance(), () => runCheck(context, spec))
        : skipped(name, "this version knows no such check");
    }
    for (const { name, spec } of files) {
      yield await run(name, spec.tolerance ?? 0, () => checkSingleFile(context, spec));
    }
  } finally {
    await context.close();
  }
}

async function run(
  name: string,
  tolerance: number,
  compute: () => Promise<Comparison[] | Skipped>,
): Promise<CheckResult> {
  try {
    const result = await compute();
    return "skipped" in result ? skipped(name, result.skipped) : judge(name, result, tolerance);
  } catch (error) {
    return failure(name, error);
  }
}

function failure(name: string, error: unknown): CheckResult {
  return { name, verdict: "failed", reason: TuttiError.from(error).message, comparisons: [] };
}
