/** Runs the checks of a folder of samplers, methods and what else it lists. @module */

import { exists } from "../../../shared/checkpoint/exists.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { type CheckResult, judge, skipped } from "../check.ts";
import type { VerifyOptions } from "../verify.ts";
import { EnsemblingChecks } from "./ensembling_checks.ts";
import { type EvalCheck, EvalFolder } from "./eval_folder.ts";
import { toleranceOf } from "./measure.ts";
import { mergingCheck } from "./merging_checks.ts";
import { samplerCheck } from "./sampler_checks.ts";

/** @throws {FormatError} if the folder's manifest cannot be read; a folder that is not there has no checks */
export async function* verifyEval(
  path: string,
  { lane, openExpert, leastTolerance, isWanted }: VerifyOptions,
): AsyncGenerator<CheckResult, void, void> {
  if (!await exists(path)) return;
  const folder = await EvalFolder.open(path);
  await using ensembling = new EnsemblingChecks(folder, lane, openExpert);
  for (const check of folder.checks.filter(({ name }) => isWanted(name))) {
    const run = runnerOf(folder, ensembling, check);
    if (!run) yield skipped(check.name, "this is not built yet");
    else yield await judged(check, leastTolerance, run);
  }
}

type Runner = () => ReturnType<EnsemblingChecks["run"]>;

function runnerOf(
  folder: EvalFolder,
  ensembling: EnsemblingChecks,
  check: EvalCheck,
): Runner | undefined {
  if (check.part === "ensembling") return () => ensembling.run(check);
  if (check.part === "merging") return () => mergingCheck(folder, check);
  const run = check.part === "samplers" ? samplerCheck(check.name) : undefined;
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
