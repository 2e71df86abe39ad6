/** Samplers on the ideal network of Gaussian data: tables, timesteps, noise levels, and whole trajectories. @module */

import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { EULER } from "../../sampling/samplers/euler.ts";
import { eulerAncestral } from "../../sampling/samplers/euler_ancestral.ts";
import { HEUN } from "../../sampling/samplers/heun.ts";
import { karrasSigmas, noiseLevels } from "../../sampling/samplers/noise_levels.ts";
import { alphasCumprod, betas, sigmaOf } from "../../sampling/samplers/noise_schedule.ts";
import { endsStep, type Sampler, type SamplerState } from "../../sampling/samplers/sampler.ts";
import { createSampler, type SamplerOptions } from "../../sampling/samplers/samplers.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  type SchedulerConfig,
} from "../../sampling/samplers/scheduler_config.ts";
import { SigmaSampler, type Solver } from "../../sampling/samplers/sigma_sampler.ts";
import {
  fractionalTimesteps,
  spacedTimesteps,
  type TimestepSpacing,
} from "../../sampling/samplers/spacing.ts";
import type { Comparison, Skipped } from "../check.ts";
import type { EvalCheck, EvalFolder } from "./eval_folder.ts";
import { measure, measureRows } from "./measure.ts";

type Check = (folder: EvalFolder, check: EvalCheck) => Promise<Comparison[] | Skipped>;

const NOT_BUILT: Skipped = { skipped: "this is not built yet" };
const TRAINING = alphasCumprod(DEFAULT_SCHEDULER_CONFIG);

/** @returns how a check of samplers is run, by its name */
export function samplerCheck(name: string): Check | undefined {
  const [, kind = "", rest = ""] = /^samplers\.(table|timesteps|sigmas)\.(.*)$/.exec(name) ?? [];
  const lists: Readonly<Record<string, Check | undefined>> = {
    table: tableCheck(rest),
    timesteps: timestepsCheck(rest),
    sigmas: sigmasCheck(rest),
  };
  if (kind !== "") return lists[kind];
  return RUNS.test(name) ? checkRun : undefined;
}

/** Whole runs of samplers that there are. */
const RUNS =
  /^samplers\.(?:euler|euler_ancestral|euler_ancestral_eta|heun)\.(?:karras|normal)$|^samplers\.(?:(?:euler|euler_ancestral|heun)_(?:linspace|leading|trailing)|ddim_(?:eta_[\d.]+|linspace|trailing|v)|pndm)\.\d+$/;

function tableCheck(name: string): Check | undefined {
  const tables: Readonly<Record<string, ArrayLike<number>>> = {
    beta: betas(DEFAULT_SCHEDULER_CONFIG),
    alpha_bar: TRAINING,
    sigma: TRAINING.map(sigmaOf),
  };
  const table = tables[name];
  return table && (async (folder, check) => {
    const timesteps = await folder.value(check, check.inputs.timesteps) as number[];
    const actual = f32([timesteps.length], timesteps.map((t) => table[t]!));
    return [measure(check, "values", actual, await folder.f32(check, check.expect.values))];
  });
}

function timestepsCheck(name: string): Check | undefined {
  const spaced = (timestepSpacing: TimestepSpacing) => (n: number) =>
    (timestepSpacing === "linspace" ? fractionalTimesteps : spacedTimesteps)(n, {
      ...DEFAULT_SCHEDULER_CONFIG,
      timestepSpacing,
    });
  const lists: Readonly<Record<string, (n: number) => number[]>> = {
    leading: spaced("leading"),
    linspace: spaced("linspace"),
    trailing: spaced("trailing"),
  };
  return listsCheck(lists[name]);
}

function sigmasCheck(name: string): Check | undefined {
  const ofSpacing = (timestepSpacing: TimestepSpacing) => (n: number) => [
    ...noiseLevels(n, { ...DEFAULT_SCHEDULER_CONFIG, timestepSpacing }).sigmas,
  ];
  const [min, max] = [sigmaOf(TRAINING[0]!), sigmaOf(TRAINING.at(-1)!)];
  const lists: Readonly<Record<string, (n: number) => number[]>> = {
    karras: (n) => [...karrasSigmas(n, min, max), 0],
    diffusers_linspace: ofSpacing("linspace"),
    diffusers_leading: ofSpacing("leading"),
    diffusers_trailing: ofSpacing("trailing"),
  };
  return listsCheck(lists[name]);
}

/** One list for each count of steps. */
function listsCheck(listOf: ((n: number) => number[]) | undefined): Check | undefined {
  return listOf && (async (folder, check) => {
    const counts = check.inputs.steps as readonly number[];
    return await Promise.all(counts.map(async (n) => {
      const list = listOf(n);
      const expected = await folder.f32(check, check.expect[String(n)]);
      return measure(check, String(n), f32([list.length], list), expected);
    }));
  });
}

/** One run, as the folder's README describes it. */
interface Run {
  readonly sampler?: string;
  readonly space: "VE" | "VP";
  readonly options: Readonly<Record<string, number | string | boolean>>;
  readonly sigmas?: readonly number[];
  readonly timesteps?: readonly number[];
  readonly init: readonly number[];
  readonly noise: readonly (readonly number[])[];
  readonly evaluations?: number;
}

/** The ideal network: Gaussian data with these means and deviations. */
interface Model {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

async function checkRun(folder: EvalFolder, check: EvalCheck): Promise<Comparison[] | Skipped> {
  const reference = String(check.inputs.run);
  const run = await folder.value(check, reference) as Run;
  const model = await folder.value(check, `${reference.split("#")[0]}#model`) as Model;
  const sampler = run.sampler === undefined ? samplerOfName(check, run) : samplerOfSigmas(run);
  if (!sampler) return NOT_BUILT;
  const expected = await folder.f32(check, check.expect.x);
  const perEvaluation = expected.shape[0] === sampler.evaluations.length;
  const states = trajectory(sampler, run, model, perEvaluation);
  const comparisons = measureRows(check, "x", states.map(({ latents }) => latents), expected);
  const given: readonly (readonly [string, readonly number[] | undefined, number[]])[] = [
    ["timesteps", run.timesteps, sampler.evaluations.map(({ timestep }) => timestep)],
    ["evaluations", run.evaluations === undefined ? undefined : [run.evaluations], [
      sampler.evaluations.length,
    ]],
  ];
  const lists = given.flatMap(([name, wanted, own]) => {
    if (wanted === undefined || (name === "timesteps" && wanted.length !== own.length)) return [];
    return [measure(check, name, f32([own.length], own), f32([wanted.length], wanted))];
  });
  return [...comparisons, ...lists];
}

/** k-diffusion's samplers run on a list of noise levels. */
function samplerOfSigmas({ sampler, sigmas, options }: Run): Sampler | undefined {
  const { eta, s_noise: noiseScale } = options as Record<string, number | undefined>;
  const solvers: Readonly<Record<string, Solver>> = {
    euler: EULER,
    euler_ancestral: eulerAncestral({
      ...(eta !== undefined && { eta }),
      ...(noiseScale !== undefined && { noiseScale }),
    }),
    heun: HEUN,
  };
  const solver = solvers[sampler!];
  const levels = { sigmas: sigmas!, timestepOf: () => 0, initNoiseSigma: 1 };
  return solver && new SigmaSampler(solver, levels, "epsilon");
}

/** diffusers' schedulers are named with their spacing: `euler_linspace.8`. */
function samplerOfName({ name }: EvalCheck, { options }: Run): Sampler | undefined {
  const [, run = "", steps] = /^samplers\.(.*)\.(\d+)$/.exec(name) ?? [];
  const spacing = (["leading", "linspace", "trailing"] as const).find((s) => run.endsWith(s));
  const config: SchedulerConfig = {
    ...DEFAULT_SCHEDULER_CONFIG,
    timestepSpacing: spacing,
    setAlphaToOne: options.set_alpha_to_one === true,
    predictionType: options.prediction_type === "v_prediction" ? "v_prediction" : "epsilon",
  };
  const sampler = spacing === undefined ? run.split("_")[0]! : run.slice(0, -spacing.length - 1);
  const eta = options.eta === 0 ? undefined : options.eta as number | undefined;
  const own: SamplerOptions = { steps: Number(steps), config };
  return createSampler(sampler, eta === undefined ? own : { ...own, eta });
}

/** The state after every step, or after every evaluation. */
function trajectory(
  sampler: Sampler,
  { space, init, noise, options }: Run,
  model: Model,
  perEvaluation: boolean,
): SamplerState[] {
  let state: SamplerState = { latents: f32([1, init.length], init), memory: {} };
  const draws = [...noise];
  const states: SamplerState[] = [];
  for (const [index, { sigma, noiseCount }] of sampler.evaluations.entries()) {
    const ideal = space === "VE" ? epsilonVe : epsilonVp;
    const guided = ideal(model, state.latents, sigma, options.prediction_type === "v_prediction");
    const drawn = draws.splice(0, noiseCount).map((values) => f32([1, values.length], values));
    ({ state } = sampler.step({ guided, conditional: guided }, index, state, drawn));
    if (perEvaluation || endsStep(sampler, index)) states.push(state);
  }
  return states;
}

/** `(x - D) / sigma` with `D = (x std^2 + mean sigma^2) / (std^2 + sigma^2)`, for `x = x_0 + sigma z` */
function epsilonVe({ mean, std }: Model, x: F32Tensor, sigma: number): F32Tensor {
  return f32(
    x.shape,
    x.data.map((value, i) => {
      const denoised = (value * std[i]! ** 2 + mean[i]! * sigma ** 2) / (std[i]! ** 2 + sigma ** 2);
      return (value - denoised) / sigma;
    }),
  );
}

/** The same for `x = sqrt(abar) x_0 + sqrt(1 - abar) z`; or `v = sqrt(abar) eps - sqrt(1 - abar) x_0` */
function epsilonVp({ mean, std }: Model, x: F32Tensor, sigma: number, isV: boolean): F32Tensor {
  const alphaBar = 1 / (1 + sigma ** 2);
  const [signal, noise] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  return f32(
    x.shape,
    x.data.map((value, i) => {
      const variance = alphaBar * std[i]! ** 2 + noise ** 2;
      const epsilon = noise * (value - signal * mean[i]!) / variance;
      const clean = (signal * std[i]! ** 2 * value + noise ** 2 * mean[i]!) / variance;
      return isV ? signal * epsilon - noise * clean : epsilon;
    }),
  );
}
