/**
 * The samplers that users can name, one row each: the only place that knows all of them.
 *
 * @module
 */

import { type BuildOptions, onLevels, onMultistepLevels, onNoiseLevels } from "./build_sampler.ts";
import { DdimSampler } from "./ddim.ts";
import { DDPM } from "./ddpm.ts";
import { deis } from "./deis.ts";
import { dpm2 } from "./dpm2.ts";
import { dpmpp2sAncestral } from "./dpmpp_2s_ancestral.ts";
import { dpmppMultistep } from "./dpmpp_multistep.ts";
import { dpmppSde } from "./dpmpp_sde.ts";
import { dpmppSinglestep } from "./dpmpp_singlestep.ts";
import { dpmSolverMultistep } from "./dpm_solver_multistep.ts";
import { dpmSolverSinglestep } from "./dpm_solver_singlestep.ts";
import { EULER } from "./euler.ts";
import { eulerAncestral } from "./euler_ancestral.ts";
import { HEUN } from "./heun.ts";
import { LCM } from "./lcm.ts";
import { lms } from "./lms.ts";
import { distilledLevels } from "./noise_levels.ts";
import { PndmSampler } from "./pndm.ts";
import type { Sampler } from "./sampler.ts";
import type { TimestepSpacing } from "./spacing.ts";
import { tcdOfTraining } from "./tcd.ts";
import { uniPc } from "./unipc.ts";

export interface SamplerDefinition {
  readonly name: string;
  /** As stable-diffusion-webui calls it. */
  readonly label: string;
  /** Other names that it is known by. */
  readonly aliases: readonly string[];
  readonly summary: string;
  /** Where the model's config leaves the spacing open. */
  readonly spacing: TimestepSpacing;
  /** The share of new noise without `eta`; `undefined` for a sampler whose share is fixed. */
  readonly eta?: number;
  /** Where its noise levels may come from: any schedule, spacings of timesteps only, or its own place alone. */
  readonly schedules: "any" | "spacings" | "none";
  /** Whether its steps at eta 1 are steps of the reverse SDE of the training's noise, one evaluation each. @default false */
  readonly followsReverseSde?: boolean;
  /** Whether noise may be added before its steps. @default false */
  readonly takesChurn?: boolean;
  build(options: BuildOptions): Sampler;
}

/** What a job means that names none, and always meant. */
export const DEFAULT_SAMPLER = "ddim";

export const SAMPLERS: readonly SamplerDefinition[] = [
  {
    name: "ddim",
    label: "DDIM",
    aliases: ["DDIMScheduler"],
    summary: "the paper's evaluator: first order, deterministic unless eta is above 0",
    spacing: "leading",
    eta: 0,
    schedules: "spacings",
    followsReverseSde: true,
    build: ({ steps, config, eta }) => new DdimSampler(steps, config, eta),
  },
  {
    name: "pndm",
    label: "PLMS",
    aliases: ["plms", "PNDMScheduler"],
    summary: "linear multistep of order 4, as Stable Diffusion 1.5 was published with",
    spacing: "leading",
    schedules: "spacings",
    build: ({ steps, config }) => new PndmSampler(steps, config),
  },
  {
    name: "ddpm",
    label: "DDPM",
    aliases: ["DDPMScheduler"],
    summary: "the ancestral sampling that diffusion models began with, for many steps",
    spacing: "leading",
    schedules: "any",
    followsReverseSde: true,
    build: (options) => onNoiseLevels(DDPM, options),
  },
  {
    name: "euler",
    label: "Euler",
    aliases: ["EulerDiscreteScheduler", "dpm_solver_1s"],
    summary: "first order on the noise levels, deterministic",
    spacing: "linspace",
    schedules: "any",
    takesChurn: true,
    build: (options) => onNoiseLevels(EULER, options),
  },
  {
    name: "euler_a",
    label: "Euler a",
    aliases: ["euler_ancestral", "EulerAncestralDiscreteScheduler"],
    summary: "Euler with new noise in every step: more steps are another picture",
    spacing: "linspace",
    eta: 1,
    schedules: "any",
    followsReverseSde: true,
    build: (options) => onNoiseLevels(eulerAncestral(options), options),
  },
  {
    name: "heun",
    label: "Heun",
    aliases: ["HeunDiscreteScheduler"],
    summary: "second order, two evaluations a step",
    spacing: "linspace",
    schedules: "any",
    takesChurn: true,
    build: (options) => onNoiseLevels(HEUN, options),
  },
  {
    name: "lms",
    label: "LMS",
    aliases: ["LMSDiscreteScheduler"],
    summary: "linear multistep of order 4 on the noise levels",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onNoiseLevels(lms(), options),
  },
  {
    name: "dpm_2",
    label: "DPM2",
    aliases: ["kdpm_2", "KDPM2DiscreteScheduler", "dpm_solver_2s"],
    summary: "midpoint method, two evaluations a step",
    spacing: "linspace",
    schedules: "any",
    takesChurn: true,
    build: (options) => onNoiseLevels(dpm2({ eta: 0 }), options),
  },
  {
    name: "dpm_2_a",
    label: "DPM2 a",
    aliases: ["dpm_2_ancestral", "kdpm_2_a", "KDPM2AncestralDiscreteScheduler"],
    summary: "DPM2 with new noise in every step",
    spacing: "linspace",
    eta: 1,
    schedules: "any",
    build: (options) => onNoiseLevels(dpm2(options), options),
  },
  {
    name: "dpm_solver_3s",
    label: "DPM-Solver 3S",
    aliases: [],
    summary: "third order, three evaluations a step",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onNoiseLevels(dpmSolverSinglestep(3), options),
  },
  {
    name: "dpm_solver_2m",
    label: "DPM-Solver 2M",
    aliases: ["dpmsolver"],
    summary: "second-order multistep over the noise prediction; DPM++ 2M is its successor",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(dpmSolverMultistep({ order: 2 }), options, "sigma_min"),
  },
  {
    name: "dpm_solver_3m",
    label: "DPM-Solver 3M",
    aliases: [],
    summary: "the same of third order",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(dpmSolverMultistep({ order: 3 }), options, "sigma_min"),
  },
  {
    name: "dpmpp_2m",
    label: "DPM++ 2M",
    aliases: ["DPMSolverMultistepScheduler", "dpmsolver++"],
    summary: "second-order multistep, one evaluation a step: good pictures in 20 steps",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(dpmppMultistep({ order: 2 }), options),
  },
  {
    name: "dpmpp_3m",
    label: "DPM++ 3M",
    aliases: [],
    summary: "third-order multistep",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(dpmppMultistep({ order: 3, lowersFinal: true }), options),
  },
  {
    name: "dpmpp_2m_sde",
    label: "DPM++ 2M SDE",
    aliases: ["dpmpp_2m_sde_gpu", "sde-dpmsolver++"],
    summary: "DPM++ 2M with new noise in every step",
    spacing: "linspace",
    eta: 1,
    schedules: "any",
    followsReverseSde: true,
    build: (options) => onMultistepLevels(dpmppMultistep({ order: 2, eta: options.eta }), options),
  },
  {
    name: "dpmpp_2m_sde_heun",
    label: "DPM++ 2M SDE Heun",
    aliases: ["dpmpp_2m_sde_heun_gpu"],
    summary: "DPM++ 2M SDE whose second order is integrated exactly",
    spacing: "linspace",
    eta: 1,
    schedules: "any",
    followsReverseSde: true,
    build: (options) =>
      onMultistepLevels(
        dpmppMultistep({ order: 2, eta: options.eta, solverType: "heun" }),
        options,
      ),
  },
  {
    name: "dpmpp_3m_sde",
    label: "DPM++ 3M SDE",
    aliases: ["dpmpp_3m_sde_gpu"],
    summary: "third-order multistep with new noise in every step, for 30 steps and more",
    spacing: "linspace",
    eta: 1,
    schedules: "any",
    followsReverseSde: true,
    build: (options) =>
      onMultistepLevels(
        dpmppMultistep({ order: 3, eta: options.eta, solverType: "heun" }),
        options,
      ),
  },
  {
    name: "dpmpp_sde",
    label: "DPM++ SDE",
    aliases: ["dpmpp_sde_gpu", "DPMSolverSDEScheduler"],
    summary: "second order with two draws of new noise and two evaluations a step",
    spacing: "linspace",
    eta: 1,
    schedules: "any",
    build: (options) => onNoiseLevels(dpmppSde(options), options),
  },
  {
    name: "dpmpp_2s_a",
    label: "DPM++ 2S a",
    aliases: ["dpmpp_2s_ancestral"],
    summary: "second order with new noise in every step, two evaluations a step",
    spacing: "linspace",
    eta: 1,
    schedules: "any",
    build: (options) => onNoiseLevels(dpmpp2sAncestral(options), options),
  },
  {
    name: "dpmpp_2s",
    label: "DPM++ 2S",
    aliases: ["DPMSolverSinglestepScheduler"],
    summary: "second order in pairs of steps, one evaluation a step",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(dpmppSinglestep({ order: 2 }), options),
  },
  {
    name: "dpmpp_3s",
    label: "DPM++ 3S",
    aliases: [],
    summary: "third order in groups of three steps, one evaluation a step",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(dpmppSinglestep({ order: 3 }), options),
  },
  {
    name: "deis",
    label: "DEIS",
    aliases: ["DEISMultistepScheduler"],
    summary: "third-order multistep with exact integrals",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(deis(), options, "sigma_min"),
  },
  {
    name: "unipc",
    label: "UniPC",
    aliases: ["uni_pc_bh2", "UniPCMultistepScheduler"],
    summary: "second-order multistep that corrects each step with the next one's evaluation",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(uniPc(), options),
  },
  {
    name: "unipc_bh1",
    label: "UniPC bh1",
    aliases: [],
    summary: "UniPC of third order with the other function B(h)",
    spacing: "linspace",
    schedules: "any",
    build: (options) => onMultistepLevels(uniPc({ order: 3, variant: "bh1" }), options),
  },
  {
    name: "lcm",
    label: "LCM",
    aliases: ["LCMScheduler"],
    summary: "for latent consistency models: 1 to 8 steps",
    spacing: "trailing",
    schedules: "any",
    build: (options) =>
      options.schedule === undefined
        ? onLevels(LCM, options, distilledLevels(options.steps, options.config, "zero"))
        : onNoiseLevels(LCM, options),
  },
  {
    name: "tcd",
    label: "TCD",
    aliases: ["TCDScheduler"],
    summary: "for trajectory consistency models: few steps, eta is the paper's gamma",
    spacing: "trailing",
    eta: 0.3,
    schedules: "none",
    build: (options) =>
      onLevels(
        tcdOfTraining(options.config, options.eta),
        options,
        distilledLevels(options.steps, options.config, "sigma_min"),
      ),
  },
];
