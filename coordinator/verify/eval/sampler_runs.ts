/** Which sampler a golden run is of: k-diffusion's on a list of noise levels, diffusers' on timesteps. @module */

import { type Churn, withChurn } from "../../sampling/samplers/churn.ts";
import { DDPM } from "../../sampling/samplers/ddpm.ts";
import { deis } from "../../sampling/samplers/deis.ts";
import { dpm2 } from "../../sampling/samplers/dpm2.ts";
import { dpmpp2sAncestral } from "../../sampling/samplers/dpmpp_2s_ancestral.ts";
import { dpmppMultistep, type SolverType } from "../../sampling/samplers/dpmpp_multistep.ts";
import { dpmppSde } from "../../sampling/samplers/dpmpp_sde.ts";
import { dpmppSinglestep } from "../../sampling/samplers/dpmpp_singlestep.ts";
import { dpmSolverSinglestep } from "../../sampling/samplers/dpm_solver_singlestep.ts";
import { EULER } from "../../sampling/samplers/euler.ts";
import { eulerAncestral } from "../../sampling/samplers/euler_ancestral.ts";
import { HEUN } from "../../sampling/samplers/heun.ts";
import { LCM } from "../../sampling/samplers/lcm.ts";
import { lms } from "../../sampling/samplers/lms.ts";
import { type FinalSigma, multistepLevels } from "../../sampling/samplers/noise_levels.ts";
import type { Sampler } from "../../sampling/samplers/sampler.ts";
import { createSampler, type SamplerOptions } from "../../sampling/samplers/samplers.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  type SchedulerConfig,
} from "../../sampling/samplers/scheduler_config.ts";
import { SigmaSampler, type Solver } from "../../sampling/samplers/sigma_sampler.ts";
import { uniPc } from "../../sampling/samplers/unipc.ts";
import type { LatentsSpace } from "../latents_space.ts";

/** One run, as the folder's README describes it. */
export interface GoldenRun {
  readonly sampler?: string;
  readonly space: LatentsSpace;
  readonly options: RunOptions;
  readonly sigmas?: readonly number[];
  readonly timesteps?: readonly number[];
  readonly init: readonly number[];
  readonly noise: readonly (readonly number[])[];
  readonly evaluations?: number;
}

export interface RunOptions {
  readonly eta?: number;
  readonly s_noise?: number;
  readonly churn?: number;
  readonly tmin?: number;
  readonly tmax?: number;
  readonly order?: 1 | 2 | 3;
  readonly solver?: SolverType;
  readonly form?: "eps" | "sde++";
  readonly bh?: "bh1" | "bh2";
  readonly gamma?: number;
  readonly prediction_type?: SchedulerConfig["predictionType"];
  readonly zero_snr?: boolean;
  readonly set_alpha_to_one?: boolean;
  readonly steps_offset?: number;
  readonly lower_order_final?: boolean;
}

/** The solver of one of k-diffusion's names; `undefined` if there is none. */
export function solverOf(name: string, options: RunOptions): Solver | undefined {
  const { eta, s_noise, order, solver, lower_order_final: lowersFinal } = options;
  const noise = {
    ...(eta !== undefined && { eta }),
    ...(s_noise !== undefined && { noiseScale: s_noise }),
  };
  const lowering = lowersFinal === undefined ? {} : { lowersFinal };
  const solvers: Readonly<Record<string, () => Solver>> = {
    euler: () => EULER,
    euler_ancestral: () => eulerAncestral(noise),
    heun: () => HEUN,
    lms: () => lms(order),
    dpm_2: () => dpm2(),
    dpm_2_ancestral: () => dpm2({ eta: 1, ...noise }),
    dpmpp_2s_ancestral: () => dpmpp2sAncestral(noise),
    dpmpp_sde: () => dpmppSde(noise),
    dpmpp_2m: () => dpmppMultistep({ order: 2 }),
    dpmpp_2m_sde: () =>
      dpmppMultistep({ order: 2, eta: 1, ...noise, ...(solver && { solverType: solver }) }),
    dpmpp_3m: () => dpmppMultistep({ order: 3, ...lowering }),
    dpmpp_3m_sde: () => dpmppMultistep({ order: 3, eta: 1, ...noise, solverType: "heun" }),
    lcm: () => LCM,
    ddpm: () => DDPM,
    dpm_solver: () => dpmSolverSinglestep(order!),
    unipc: () => uniPc({ order: order!, ...lowering }),
    deis: () => deis({ order: order!, ...lowering }),
  };
  const churn = churnOf(options);
  const found = solvers[name]?.();
  return found && churn ? withChurn(found, churn) : found;
}

function churnOf({ churn, tmin, tmax, s_noise }: RunOptions): Churn | undefined {
  if (churn === undefined) return undefined;
  return {
    amount: churn,
    ...(tmin !== undefined && { sigmaMin: tmin }),
    ...(tmax !== undefined && { sigmaMax: tmax }),
    ...(s_noise !== undefined && { noiseScale: s_noise }),
  };
}

/** A solver on a list of noise levels. */
export function samplerOn(solver: Solver, sigmas: readonly number[]): SigmaSampler {
  const levels = { sigmas, timestepOf: () => 0, initNoiseSigma: 1 };
  return new SigmaSampler({ name: "golden", solver, levels, predictionType: "epsilon" });
}

/** The sampler of a run of diffusers' schedulers, `NAME[_SPACING][_karras].STEPS`; `undefined` if there is none. */
export function samplerOfTimesteps(name: string, { options }: GoldenRun): Sampler | undefined {
  const [, run = "", count] = /^samplers\.(.*)\.(\d+)$/.exec(name) ?? [];
  const steps = Number(count);
  const spacing = (["leading", "linspace", "trailing"] as const).find((s) => run.endsWith(s)) ??
    (options.zero_snr ? "trailing" : undefined);
  const config: SchedulerConfig = {
    ...DEFAULT_SCHEDULER_CONFIG,
    timestepSpacing: spacing,
    setAlphaToOne: options.set_alpha_to_one === true,
    stepsOffset: options.steps_offset ?? DEFAULT_SCHEDULER_CONFIG.stepsOffset,
    predictionType: options.prediction_type ?? "epsilon",
    rescaleBetasZeroSnr: options.zero_snr === true,
  };
  const special = solverOfTimesteps(run, options);
  if (special) {
    const { solver, final } = special;
    const spaced = { ...config, timestepSpacing: spacing ?? "linspace" as const };
    const levels = multistepLevels(steps, spaced, { final });
    return new SigmaSampler({ name: run, solver, levels, predictionType: "epsilon" });
  }
  const eta = options.gamma ?? (options.eta === 0 ? undefined : options.eta);
  const given: SamplerOptions = { steps, config };
  return createSampler(nameOf(run), eta === undefined ? given : { ...given, eta });
}

/** What follows a sampler's name in that of a run. */
const RUN_SUFFIX = /_(?:leading|linspace|trailing|eta.*|v|v_.*|[\d.]+)$/;

/** Runs that are called otherwise than their samplers. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  deis_3: "deis",
  dpmsolver_2m: "dpm_solver_2m",
  dpmsolver_3m: "dpm_solver_3m",
  unipc_2_bh2: "unipc",
};

function nameOf(run: string): string {
  return OTHER_NAMES[run] ?? run.replace(RUN_SUFFIX, "");
}

/** Where the run has options that no sampler of ours has a name for. */
function solverOfTimesteps(
  run: string,
  { order, solver, form, bh }: RunOptions,
): { readonly solver: Solver; readonly final: FinalSigma } | undefined {
  if (OTHER_NAMES[run] !== undefined) return undefined;
  if (run === "dpmpp_2m_heun") {
    return { solver: dpmppMultistep({ order: 2, solverType: solver! }), final: "zero" };
  }
  if (/^dpmsolver_[23]s$/.test(run) && form === "eps") {
    const of = { order: order as 2 | 3, form: "epsilon" } as const;
    return { solver: dpmppSinglestep(of), final: "sigma_min" };
  }
  if (run.startsWith("unipc")) {
    const final = run.endsWith("sigma_min") ? "sigma_min" : "zero";
    return { solver: uniPc({ order: order!, variant: bh! }), final };
  }
  if (run.startsWith("deis")) return { solver: deis({ order: order! }), final: "sigma_min" };
  return undefined;
}
