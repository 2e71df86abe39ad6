/** Tables, timesteps and noise levels: lists of numbers without a run. @module */

import { f32 } from "../../../shared/tensor/tensor.ts";
import { noiseLevels } from "../../sampling/samplers/noise_levels.ts";
import { alphasCumprod, betas, sigmaOf } from "../../sampling/samplers/noise_schedule.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../sampling/samplers/scheduler_config.ts";
import {
  karrasSigmas,
  polyexponentialSigmas,
  SCHEDULES,
} from "../../sampling/samplers/sigma_schedules.ts";
import {
  fractionalTimesteps,
  multistepTimesteps,
  spacedTimesteps,
  type TimestepSpacing,
} from "../../sampling/samplers/spacing.ts";
import { TrainingLevels } from "../../sampling/samplers/training_levels.ts";
import type { Comparison } from "../check.ts";
import type { EvalCheck, EvalFolder } from "./eval_folder.ts";
import { measure } from "./measure.ts";

type Check = (folder: EvalFolder, check: EvalCheck) => Promise<Comparison[]>;

const SPACINGS = ["leading", "linspace", "trailing"] as const;

/** How `samplers.KIND.NAME` is checked; `undefined` where there is no such list. */
export function listCheck(kind: string, name: string): Check | undefined {
  if (kind === "table") return tableCheck(name);
  const listOf = kind === "timesteps" ? timesteps()[name] : sigmas()[name] ?? sigmasBetween(name);
  return listOf && (async (folder, check) => {
    const counts = check.inputs.steps as readonly number[];
    return await Promise.all(counts.map(async (n) => {
      const list = listOf(n);
      const expected = await folder.f32(check, check.expect[String(n)]);
      return measure(check, String(n), f32([list.length], list), expected);
    }));
  });
}

function tableCheck(name: string): Check | undefined {
  const config = DEFAULT_SCHEDULER_CONFIG;
  const zeroSnr = { ...config, rescaleBetasZeroSnr: true };
  const tables: Readonly<Record<string, ArrayLike<number>>> = {
    beta: betas(config),
    alpha_bar: alphasCumprod(config),
    sigma: alphasCumprod(config).map(sigmaOf),
    zero_snr_alpha_bar: alphasCumprod(zeroSnr),
    zero_snr_beta: betas(zeroSnr),
  };
  const table = tables[name];
  return table && (async (folder, check) => {
    const timesteps = await folder.value(check, check.inputs.timesteps) as number[];
    const actual = f32([timesteps.length], timesteps.map((t) => table[t]!));
    return [measure(check, "values", actual, await folder.f32(check, check.expect.values))];
  });
}

type Lists = Readonly<Record<string, ((n: number) => readonly number[]) | undefined>>;

function timesteps(): Lists {
  return {
    leading: (n) => spacedTimesteps(n, spaced("leading")),
    linspace: (n) => fractionalTimesteps(n, spaced("linspace")),
    trailing: (n) => spacedTimesteps(n, spaced("trailing")),
    ...Object.fromEntries(
      SPACINGS.map((s) => [`multistep_${s}`, (n: number) => multistepTimesteps(n, spaced(s))]),
    ),
  };
}

function sigmas(): Lists {
  const training = new TrainingLevels(DEFAULT_SCHEDULER_CONFIG);
  const { sigmaMin, sigmaMax } = training;
  const formulas = SCHEDULES.flatMap(({ name, sigmas }) =>
    sigmas ? [[name, (n: number) => sigmas(n, { sigmaMin, sigmaMax, training })] as const] : []
  );
  return {
    ...Object.fromEntries(formulas),
    ...Object.fromEntries(
      SPACINGS.map((s) => [`diffusers_${s}`, (n: number) => noiseLevels(n, spaced(s)).sigmas]),
    ),
  };
}

/** Formulas with numbers of their own: `karras_SIGMAMIN_SIGMAMAX`, `polyexponential_RHO`. */
function sigmasBetween(name: string): Lists[string] {
  const [formula, ...texts] = name.split("_");
  const [first = NaN, second = NaN] = texts.map(Number);
  if (formula === "karras" && texts.length === 2) {
    return (n) => [...karrasSigmas(n, first, second), 0];
  }
  if (formula !== "polyexponential" || texts.length !== 1) return undefined;
  const { sigmaMin, sigmaMax } = new TrainingLevels(DEFAULT_SCHEDULER_CONFIG);
  return (n) => [...polyexponentialSigmas(n, sigmaMin, sigmaMax, first), 0];
}

function spaced(timestepSpacing: TimestepSpacing) {
  return { ...DEFAULT_SCHEDULER_CONFIG, timestepSpacing };
}

/** Timestep to sigma in both ways, and back. */
export async function checkConversion(folder: EvalFolder, check: EvalCheck): Promise<Comparison[]> {
  const training = new TrainingLevels(DEFAULT_SCHEDULER_CONFIG);
  const timesteps = await folder.value(check, check.inputs.t) as number[];
  const levels = await folder.value(check, check.inputs.sigma) as number[];
  const results = {
    sigma_log_linear: timesteps.map((t) => training.logLinearSigmaAt(t)),
    sigma_linear: timesteps.map((t) => training.sigmaAt(t)),
    t_of_sigma: levels.map((sigma) => training.timestepOf(sigma)),
  };
  return await Promise.all(
    Object.entries(results).map(async ([name, values]) => {
      const expected = await folder.f32(check, check.expect[name]);
      return measure(check, name, f32([values.length], values), expected);
    }),
  );
}
