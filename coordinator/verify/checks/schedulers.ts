/** Schedulers under a synthetic noise model: timesteps, and the trajectory. @module */

import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { initialState, type Sampler } from "../../sampling/samplers/sampler.ts";
import { createSampler, type SamplerOptions } from "../../sampling/samplers/samplers.ts";
import { parseSchedulerConfig } from "../../sampling/samplers/scheduler_config.ts";
import { compare, compareNumbers, type Comparison } from "../check.ts";
import { type LatentsSpace, scaleTo, sigmaAfter } from "../latents_space.ts";

interface SchedulerRun {
  readonly scheduler: string;
  readonly steps: number;
  readonly config: unknown;
  readonly noise: readonly number[];
  readonly timesteps: readonly number[];
  readonly x_after_each_step: readonly (readonly number[])[];
}

interface BuiltScheduler extends Pick<SamplerOptions, "schedule"> {
  readonly name: string;
  /** Of the goldens' latents. @default "VE", if the sampler is one on noise levels */
  readonly space?: LatentsSpace;
}

/** The schedulers that are built, by the goldens' names. */
const BUILT: Readonly<Record<string, BuiltScheduler>> = {
  ddim: { name: "ddim" },
  pndm: { name: "pndm" },
  euler: { name: "euler" },
  euler_leading: { name: "euler" },
  euler_karras: { name: "euler", schedule: "karras" },
  dpmsolver: { name: "dpm_solver_2m", space: "VP" },
  "dpmsolver++": { name: "dpmpp_2m", space: "VP" },
  "dpmsolver++_karras": { name: "dpmpp_2m", schedule: "karras", space: "VP" },
};

/** Comparisons by scheduler; `undefined` for one that is not built yet. */
export async function checkSchedulers(
  path: string,
): Promise<Map<string, Comparison[] | undefined>> {
  const { runs } = JSON.parse(await Deno.readTextFile(path)) as {
    readonly runs: readonly SchedulerRun[];
  };
  const results = new Map<string, Comparison[] | undefined>();
  for (const run of runs) {
    const built = BUILT[run.scheduler];
    if (!built) results.set(run.scheduler, undefined);
    else {
      const config = parseSchedulerConfig(
        new ConfigFields(run.config, `${path}, ${run.scheduler}`),
      );
      const sampler = createSampler(built.name, { ...built, steps: run.steps, config });
      const comparisons = compareRun(run, sampler, built.space);
      results.set(run.scheduler, [...results.get(run.scheduler) ?? [], ...comparisons]);
    }
  }
  return results;
}

function compareRun(
  run: SchedulerRun,
  sampler: Sampler,
  space: LatentsSpace = "VE",
): Comparison[] {
  const shape = [run.noise.length];
  const timesteps = compareNumbers(
    `${run.steps} steps, timesteps`,
    sampler.evaluations.map(({ timestep }) => timestep),
    run.timesteps,
  );
  let state = initialState(sampler, f32(shape, run.noise));
  const steps = sampler.evaluations.map(({ timestep }, index) => {
    const noise = syntheticNoise(sampler.scaleModelInput(state.latents, index, []), timestep);
    ({ state } = sampler.step({ guided: noise, conditional: noise }, index, state, []));
    return compare(
      `${run.steps} steps, x[${index + 1}]`,
      lincomb([[scaleTo(space, sampler, sigmaAfter(sampler, index)), state.latents]]),
      f32(shape, run.x_after_each_step[index]!),
    );
  });
  return [timesteps, ...steps];
}

/** The goldens' noise model: 0.3 x + 0.2 sin(t / 100). */
function syntheticNoise(x: F32Tensor, timestep: number): F32Tensor {
  const shift = 0.2 * Math.sin(timestep / 100);
  return f32(x.shape, x.data.map((value) => 0.3 * value + shift));
}
