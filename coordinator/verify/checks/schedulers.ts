/** Schedulers under a synthetic noise model: timesteps, and the trajectory. @module */

import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { difference } from "../../../shared/tensor/compare.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { DdimScheduler } from "../../sampling/samplers/ddim.ts";
import type { Scheduler } from "../../sampling/samplers/sampler.ts";
import {
  parseSchedulerConfig,
  type SchedulerConfig,
} from "../../sampling/samplers/scheduler_config.ts";
import { compare, type Comparison } from "../check.ts";

interface SchedulerRun {
  readonly scheduler: string;
  readonly steps: number;
  readonly config: unknown;
  readonly noise: readonly number[];
  readonly timesteps: readonly number[];
  readonly x_after_each_step: readonly (readonly number[])[];
}

/** The schedulers that are built, by the goldens' names. */
const SCHEDULERS: Readonly<Record<string, (steps: number, config: SchedulerConfig) => Scheduler>> =
  {
    ddim: (steps, config) => new DdimScheduler(steps, config),
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
    const build = SCHEDULERS[run.scheduler];
    if (!build) results.set(run.scheduler, undefined);
    else {
      const config = parseSchedulerConfig(
        new ConfigFields(run.config, `${path}, ${run.scheduler}`),
      );
      const comparisons = compareRun(run, build(run.steps, config));
      results.set(run.scheduler, [...results.get(run.scheduler) ?? [], ...comparisons]);
    }
  }
  return results;
}

function compareRun(run: SchedulerRun, scheduler: Scheduler): Comparison[] {
  const shape = [run.noise.length];
  const timesteps = {
    tensor: `${run.steps} steps, timesteps`,
    ...difference(scheduler.timesteps, run.timesteps),
  };
  let latents = lincomb([[scheduler.initNoiseSigma, f32(shape, run.noise)]]);
  const steps = scheduler.timesteps.map((timestep, stepIndex) => {
    const noise = syntheticNoise(scheduler.scaleModelInput(latents, stepIndex), timestep);
    latents = scheduler.step(noise, stepIndex, latents).latents;
    return compare(
      `${run.steps} steps, x[${stepIndex + 1}]`,
      latents,
      f32(shape, run.x_after_each_step[stepIndex]!),
    );
  });
  return [timesteps, ...steps];
}

/** The goldens' noise model: 0.3 x + 0.2 sin(t / 100). */
function syntheticNoise(x: F32Tensor, timestep: number): F32Tensor {
  const shift = 0.2 * Math.sin(timestep / 100);
  return f32(x.shape, x.data.map((value) => 0.3 * value + shift));
}
