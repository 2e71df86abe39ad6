/** Whole trajectories on the ideal network of Gaussian data, and how fast they converge to the exact solution. @module */

import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { f32, type F32Tensor, makeTensor } from "../../../shared/tensor/tensor.ts";
import { endsStep, type Sampler, type SamplerState } from "../../sampling/samplers/sampler.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../sampling/samplers/scheduler_config.ts";
import { TrainingLevels } from "../../sampling/samplers/training_levels.ts";
import type { Comparison, Skipped } from "../check.ts";
import { scaleTo, sigmaAfter } from "../latents_space.ts";
import type { EvalCheck, EvalFolder } from "./eval_folder.ts";
import { type GaussianData, idealPrediction, likeInput } from "./ideal_network.ts";
import { measure, measureRows } from "./measure.ts";
import {
  type GoldenRun,
  type RunOptions,
  samplerOfTimesteps,
  samplerOn,
  solverOf,
} from "./sampler_runs.ts";

export async function checkRun(
  folder: EvalFolder,
  check: EvalCheck,
): Promise<Comparison[] | Skipped> {
  const reference = String(check.inputs.run);
  const run = await folder.value(check, reference) as GoldenRun;
  const model = await folder.value(check, `${reference.split("#")[0]}#model`) as GaussianData;
  const sampler = samplerOf(check, run);
  if (!sampler) return { skipped: "this sampler is not built" };
  const expected = await folder.f32(check, check.expect.x);
  const perEvaluation = expected.shape[0] === sampler.evaluations.length;
  const states = trajectory(sampler, run, model, perEvaluation);
  return [...measureRows(check, "x", states, expected), ...measureLists(check, run, sampler)];
}

/** What a run says about its evaluations. Of a sampler with several a step it lists the steps' timesteps only. */
function measureLists(check: EvalCheck, run: GoldenRun, sampler: Sampler): Comparison[] {
  const timesteps = sampler.evaluations.map(({ timestep }) => timestep);
  const isListed = run.timesteps?.length === timesteps.length;
  return [
    ...(isListed ? [measure(check, "timesteps", list(timesteps), list(run.timesteps!))] : []),
    ...(run.evaluations === undefined
      ? []
      : [measure(check, "evaluations", list([timesteps.length]), list([run.evaluations]))]),
  ];
}

function list(values: readonly number[]): F32Tensor {
  return f32([values.length], values);
}

function samplerOf({ name }: EvalCheck, run: GoldenRun): Sampler | undefined {
  if (run.sampler === undefined) return samplerOfTimesteps(name, run);
  const solver = solverOf(run.sampler, run.options);
  return solver && samplerOn(solver, run.sigmas!);
}

/** The state after every step, or after every evaluation, in the space of the run. */
function trajectory(
  sampler: Sampler,
  { space, init, noise, options }: GoldenRun,
  model: GaussianData,
  perEvaluation: boolean,
): F32Tensor[] {
  const inRun = (x: F32Tensor, sigma: number) => lincomb([[scaleTo(space, sampler, sigma), x]]);
  const first = sampler.evaluations[0]!.sigma;
  const start = f32([1, init.length], init);
  let state: SamplerState = {
    latents: lincomb([[1 / scaleTo(space, sampler, first), start]]),
    memory: {},
  };
  const draws = [...noise];
  const states: F32Tensor[] = [];
  for (const [index, { noiseCount }] of sampler.evaluations.entries()) {
    const drawn = draws.splice(0, noiseCount).map((values) => f32([1, values.length], values));
    state = evaluated(sampler, index, { state, drawn, model, options });
    if (!perEvaluation && !endsStep(sampler, index)) continue;
    states.push(inRun(state.latents, sigmaAfter(sampler, index)));
  }
  return states;
}

interface EvaluatedOptions {
  readonly state: SamplerState;
  readonly drawn: readonly F32Tensor[];
  readonly model: GaussianData;
  readonly options: RunOptions;
}

function evaluated(
  sampler: Sampler,
  index: number,
  { state, drawn, model, options }: EvaluatedOptions,
): SamplerState {
  const { sigma } = sampler.evaluations[index]!;
  const input = sampler.scaleModelInput(state.latents, index, drawn);
  const ideal = idealPrediction(model, input.data, 1 / (1 + sigma ** 2));
  const isV = options.prediction_type === "v_prediction";
  const values = ideal.map(({ epsilon, velocity }) => isV ? velocity : epsilon);
  const guided = likeInput(input, values);
  return sampler.step({ guided, conditional: guided }, index, state, drawn).state;
}

interface Convergence {
  readonly options: RunOptions;
  /** By the number of steps. */
  readonly error: Readonly<Record<string, number>>;
  /** Between the two largest numbers of steps. */
  readonly observed_order?: number;
}

/**
 * Errors against the exact solution, on levels even in log sigma, and the order with which they fall. The solvers run on
 * doubles: in f32 the state itself is off by some 1e-6, more than the errors of the better solvers.
 */
export async function checkConvergence(
  folder: EvalFolder,
  check: EvalCheck,
): Promise<Comparison[]> {
  const runs = await folder.value(check, check.expect.runs) as Record<string, Convergence>;
  const init = await folder.value(check, check.inputs.init) as number[];
  const exact = await folder.value(check, check.inputs.exact) as number[];
  const file = String(check.inputs.init).split("#")[0];
  const model = await folder.value(check, `${file}#model`) as GaussianData;
  return Object.entries(runs).flatMap(([name, { options, error, observed_order }]) => {
    const solver = solverOf(name.replace(/(dpm_solver|unipc|deis)_\d.*$/, "$1"), options)!;
    const errors = Object.keys(error).map(Number).sort((a, b) => a - b).map((steps) => {
      const end = finalState(samplerOn(solver, evenInLog(steps)), init, model);
      return { steps, distance: Math.hypot(...exact.map((value, i) => end[i]! - value)) };
    });
    const compared = (what: string | number, actual: number, expected: number) => ({
      ...measure(check, name, list([actual]), list([expected])),
      tensor: `${name}[${what}]`,
    });
    return [
      ...errors.map(({ steps, distance }) => compared(steps, distance, error[steps]!)),
      ...(observed_order === undefined
        ? []
        : [compared("order", orderOf(errors.slice(-2)), observed_order)]),
    ];
  });
}

/** `p` where errors fall as `n^-p`, of two numbers of steps. */
function orderOf(errors: readonly { readonly steps: number; readonly distance: number }[]): number {
  const [few, many] = errors;
  return Math.log(few!.distance / many!.distance) / Math.log(many!.steps / few!.steps);
}

function finalState(
  sampler: Sampler,
  init: readonly number[],
  model: GaussianData,
): ArrayLike<number> {
  // Solvers are written for f32 and compute in whatever dtype they are given.
  const latents = makeTensor("float64", [1, init.length], Float64Array.from(init)) as unknown;
  let state: SamplerState = { latents: latents as F32Tensor, memory: {} };
  for (const index of sampler.evaluations.keys()) {
    state = evaluated(sampler, index, { state, drawn: [], model, options: {} });
  }
  return state.latents.data;
}

function evenInLog(steps: number): number[] {
  const { sigmaMin, sigmaMax } = new TrainingLevels(DEFAULT_SCHEDULER_CONFIG);
  return Array.from(
    { length: steps + 1 },
    (_, i) => sigmaMax * (sigmaMin / sigmaMax) ** (i / steps),
  );
}
