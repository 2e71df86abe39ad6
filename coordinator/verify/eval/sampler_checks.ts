/** How each check of samplers is run, by its name. @module */

import { classifierFreeGuidance, rescaleGuidance } from "../../sampling/guidance.ts";
import { epsilonAndDenoised } from "../../sampling/prediction.ts";
import { alphasCumprod } from "../../sampling/samplers/noise_schedule.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../sampling/samplers/scheduler_config.ts";
import type { Comparison } from "../check.ts";
import type { EvalCheck, EvalFolder, RunCheck } from "./eval_folder.ts";
import { measure } from "./measure.ts";
import { checkConversion, listCheck } from "./sampler_list_checks.ts";
import { checkConvergence, checkRun } from "./sampler_run_checks.ts";

const SINGLE: Readonly<Record<string, RunCheck>> = {
  "samplers.conversion": checkConversion,
  "samplers.convergence": checkConvergence,
  "samplers.v_prediction": checkVelocity,
  "samplers.guidance_rescale": checkGuidance,
};

/** @returns `undefined` for a check of what is not built */
export function samplerCheck(name: string): RunCheck | undefined {
  const [, kind, rest = ""] = /^samplers\.(table|timesteps|sigmas)\.(.*)$/.exec(name) ?? [];
  return kind === undefined ? SINGLE[name] ?? checkRun : listCheck(kind, rest);
}

async function checkVelocity(folder: EvalFolder, check: EvalCheck): Promise<Comparison[]> {
  const { x, v, timestep } = check.inputs;
  const alphaBar = alphasCumprod(DEFAULT_SCHEDULER_CONFIG)[timestep as number]!;
  const { epsilon, denoised } = epsilonAndDenoised(
    await folder.f32(check, v),
    await folder.f32(check, x),
    alphaBar,
    "v_prediction",
  );
  return [
    measure(check, "x0", denoised, await folder.f32(check, check.expect.x0)),
    measure(check, "eps", epsilon, await folder.f32(check, check.expect.eps)),
  ];
}

async function checkGuidance(folder: EvalFolder, check: EvalCheck): Promise<Comparison[]> {
  const { uncond, cond, guidance_scale: scale, guidance_rescale: rescale } = check.inputs;
  const conditional = await folder.f32(check, cond);
  const unconditional = await folder.f32(check, uncond);
  const guided = classifierFreeGuidance({ conditional, unconditional }, scale as number);
  const rescaled = rescaleGuidance(guided, conditional, rescale as number);
  return [
    measure(check, "guided", guided, await folder.f32(check, check.expect.guided)),
    measure(check, "rescaled", rescaled, await folder.f32(check, check.expect.rescaled)),
  ];
}
