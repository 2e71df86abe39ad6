import assert from "node:assert/strict";
import type { Ensemble } from "../../../coordinator/ensemble/ensemble.ts";
import { jobSampler } from "../../../coordinator/jobs/job_sampler.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { createMethod } from "../../../coordinator/sampling/methods/methods.ts";
import type { JobSettings } from "../../../coordinator/settings/settings.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  type SchedulerConfig,
} from "../../../shared/models/config/scheduler_config.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { SMALL_PICTURE } from "../sampling/small_run.ts";

const VELOCITY: SchedulerConfig = {
  ...DEFAULT_SCHEDULER_CONFIG,
  predictionType: "v_prediction",
  rescaleBetasZeroSnr: true,
  timestepSpacing: "trailing",
};

/** Experts that say these things of themselves. */
function ensembleOf(...configs: readonly (SchedulerConfig | undefined)[]): Ensemble {
  const members = configs.map((config, i) => ({
    name: ["photo", "anime"][i]!,
    where: `worker ${i}`,
    expert: new AffineExpert({
      description: config
        ? {
          predictionType: config.predictionType,
          ownSchedule: { config, source: "scheduler_config.json" },
        }
        : {},
    }),
  }));
  return { members, experts: members.map(({ expert }) => expert) } as unknown as Ensemble;
}

function samplerOf(ensemble: Ensemble, settings: Partial<JobSettings> = {}, method = "average") {
  const subject = { prompt: "a castle", seeds: [7n], ensemble: "castles" };
  const made = createMethod(method, {
    experts: ensemble.members.map(({ name }) => name),
    blocks: ensemble.experts[0]!.description.blocks,
    guidanceScale: 5,
    sampler: { name: "ddim" },
    picture: SMALL_PICTURE,
  });
  return jobSampler(ensemble, made, newJob(subject, { steps: 4, ...settings }));
}

Deno.test("models that say nothing are sampled as ever, under the same conditions", () => {
  const { scheduler, sampler, agreed } = samplerOf(ensembleOf(undefined, undefined));
  assert.equal(
    scheduler,
    '{"numTrainTimesteps":1000,"betaStart":0.00085,"betaEnd":0.012,"betaSchedule":"scaled_linear",' +
      '"rescaleBetasZeroSnr":false,"stepsOffset":1,"setAlphaToOne":false,"timestepSpacing":"leading",' +
      '"predictionType":"epsilon"}',
  );
  assert.equal(agreed.source, undefined);
  assert.deepEqual(sampler.evaluations.map(({ timestep }) => timestep), [751, 501, 251, 1]);
});

Deno.test("a model's own schedule is sampled: where timesteps lie, and what a job says before that", () => {
  const own = ensembleOf(VELOCITY);
  const timesteps = (settings: Partial<JobSettings>) =>
    samplerOf(own, settings).sampler.evaluations.map(({ timestep }) => timestep);
  assert.deepEqual(timesteps({}), [999, 749, 499, 249]);
  assert.equal(timesteps({ schedule: "leading" })[0], 751);
  const { scheduler, agreed } = samplerOf(own);
  assert.match(scheduler, /"rescaleBetasZeroSnr":true,.*"predictionType":"v_prediction"/);
  assert.equal(agreed.source, "photo's scheduler_config.json");
  const trained = { ...VELOCITY, numTrainTimesteps: 3, trainedBetas: [0.1, 0.2, 0.3] };
  assert.match(
    samplerOf(ensembleOf(trained), { steps: 2 }).scheduler,
    /"trainedBetas":"[0-9a-f]{64}"}$/,
  );
});

Deno.test("experts that disagree are refused by what the method may ask", () => {
  const mixed = ensembleOf(undefined, VELOCITY);
  const refusal = { code: "FAILED_PRECONDITION", message: /must agree in predictionType/ };
  for (
    const method of ["average", "noise-average", "magicfusion", "switch", "interleave"]
      .concat("autoguidance", "one-hot:photo")
  ) {
    assert.throws(() => samplerOf(mixed, {}, method), refusal, method);
  }
  for (const method of ["only:photo", "switch:photo=0"]) {
    assert.equal(samplerOf(mixed, {}, method).agreed.config.predictionType, "epsilon", method);
  }
  for (const method of ["only:anime", "switch:anime=0"]) {
    assert.deepEqual(samplerOf(mixed, {}, method).agreed.config, VELOCITY, method);
  }
});

Deno.test("churn raises the levels of samplers that can, within s_tmin and s_tmax", () => {
  const ensemble = ensembleOf(undefined);
  const sigmas = (settings: Partial<JobSettings>) =>
    samplerOf(ensemble, { sampler: "euler", ...settings }).sampler.evaluations
      .map(({ sigma }) => sigma);
  const plain = sigmas({});
  // gamma = min(4 / 4 steps, sqrt(2) - 1), k-diffusion's sample_euler.
  const most = Math.SQRT2;
  assert.deepEqual(sigmas({ churn: 4 }), plain.map((sigma) => sigma * (1 + (most - 1))));
  const raised = sigmas({ churn: 0.4, sTmin: 0.5, sTmax: 10, sNoise: 1.003 });
  plain.forEach((sigma, i) => {
    const isWithin = 0.5 <= sigma && sigma <= 10;
    assert.equal(raised[i], sigma * (1 + (isWithin ? 0.1 : 0)));
  });
  assert.ok(raised.some((sigma, i) => sigma !== plain[i]));
  assert.deepEqual(sigmas({ churn: 0 }), plain);
  samplerOf(ensemble, { sampler: "ddim", churn: 0 });
});

Deno.test("churn is refused where it says nothing", () => {
  const ensemble = ensembleOf(undefined);
  const cases: [Partial<JobSettings>, string][] = [
    [{ sampler: "ddim", churn: 5 }, "churn is for euler, heun, dpm_2: current sampler is ddim"],
    [
      { sampler: "euler", sNoise: 1.1 },
      "--s-noise is for samplers with --churn: current churn is 0",
    ],
    [
      { sampler: "euler", churn: 0, sTmin: 1 },
      "--s-tmin is for samplers with --churn: current churn is 0",
    ],
    [
      { sampler: "heun", churn: 5, sTmin: 3, sTmax: 2 },
      "--s-tmin must be at most --s-tmax, 2: current value is 3",
    ],
  ];
  for (const [settings, message] of cases) {
    assert.throws(() => samplerOf(ensemble, settings), { name: "UsageError", message });
  }
});
