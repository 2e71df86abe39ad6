/** Runs the checks of a folder of samplers, methods and what else it lists. @module */

import { exists } from "../../../shared/checkpoint/exists.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { type CheckResult, judge, skipped } from "../check.ts";
import type { VerifyOptions } from "../verify.ts";
import { EnsemblingChecks } from "./ensembling_checks.ts";
import { type EvalCheck, EvalFolder, type RunCheck } from "./eval_folder.ts";
import { toleranceOf } from "./measure.ts";
import { mergingCheck } from "./merging_checks.ts";
import { metricCheck } from "./metric_checks.ts";
import { networkCheck } from "./network_checks.ts";
import { preprocessingCheck } from "./preprocessing_checks.ts";
import { samplerCheck } from "./sampler_checks.ts";

/**
 * @param parts of the manifest that are run; without, all
 * @throws {FormatError} if the folder's manifest cannot be read; a folder that is not there has no checks
 */
export async function* verifyEval(
  path: string,
  { lane, openExpert, leastTolerance, isWanted }: VerifyOptions,
  parts?: readonly string[],
): AsyncGenerator<CheckResult, void, void> {
  if (!await exists(path)) return;
  const folder = await EvalFolder.open(path);
  await using ensembling = new EnsemblingChecks(folder, lane, openExpert);
  const wanted = folder.checks.filter(({ name, part }) =>
    isWanted(name) && (parts?.includes(part) ?? true)
  );
  for (const check of wanted) {
    const run = runnerOf(folder, ensembling, check, lane);
    if (!run) yield skipped(check.name, "this is not built yet");
    else yield await judged(check, leastTolerance, run);
  }
}

/** Checks that need no expert, by part: how one of a name is run, if it is built. */
const BY_PART: Readonly<
  Record<string, (name: string, lane: ComputeOptions) => RunCheck | undefined>
> = {
  samplers: samplerCheck,
  // One of them has a network.
  metrics: (name, lane) => metricCheck(name) ?? networkCheck(name, lane),
  networks: networkCheck,
  pipelines: networkCheck,
  preprocessing: preprocessingCheck,
};

type Runner = () => ReturnType<EnsemblingChecks["run"]>;

function runnerOf(
  folder: EvalFolder,
  ensembling: EnsemblingChecks,
  check: EvalCheck,
  lane: ComputeOptions,
): Runner | undefined {
  if (check.part === "ensembling") return () => ensembling.run(check);
  if (check.part === "merging") return () => mergingCheck(folder, check);
  const run = BY_PART[check.part]?.(check.name, lane);
  return run && (() => run(folder, check));
}

async function judged(
  check: EvalCheck,
  leastTolerance: number,
  run: Runner,
): Promise<CheckResult> {
  const { name, part } = check;
  try {
    const result = await run();
    if ("skipped" in result) return skipped(name, result.skipped);
    // Only experts are computed on the device.
    const least = part === "ensembling" ? leastTolerance : 0;
    return judge(name, result, Math.max(least, toleranceOf(check)));
  } catch (error) {
    return { name, verdict: "failed", reason: TuttiError.from(error).message, comparisons: [] };
  }
}
