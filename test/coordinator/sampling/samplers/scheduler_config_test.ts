import assert from "node:assert/strict";
import { alphasCumprod, betas } from "../../../../coordinator/sampling/samplers/noise_schedule.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  parseSchedulerConfig,
  readSchedulerConfig,
} from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { goldenPath } from "../../../support/goldens.ts";

const parse = (json: unknown) => parseSchedulerConfig(new ConfigFields(json, "scheduler.json"));

Deno.test("parseSchedulerConfig() of SD1.5's published file is the default", () => {
  const published = {
    _class_name: "PNDMScheduler",
    _diffusers_version: "0.6.0",
    beta_end: 0.012,
    beta_schedule: "scaled_linear",
    beta_start: 0.00085,
    num_train_timesteps: 1000,
    set_alpha_to_one: false,
    skip_prk_steps: true,
    steps_offset: 1,
    trained_betas: null,
    clip_sample: false,
  };
  assert.deepEqual(parse(published), DEFAULT_SCHEDULER_CONFIG);
});

Deno.test("readSchedulerConfig() reads a file, and every field counts", async () => {
  const config = await readSchedulerConfig(
    goldenPath("sd15", "scheduler", "scheduler_config.json"),
  );
  assert.deepEqual(config, DEFAULT_SCHEDULER_CONFIG);
  const changed = {
    num_train_timesteps: 500,
    beta_start: 0.001,
    beta_end: 0.02,
    beta_schedule: "linear",
    steps_offset: 0,
    set_alpha_to_one: true,
    timestep_spacing: "trailing",
    prediction_type: "v_prediction",
  };
  assert.deepEqual(parse(changed), {
    numTrainTimesteps: 500,
    betaStart: 0.001,
    betaEnd: 0.02,
    betaSchedule: "linear",
    stepsOffset: 0,
    setAlphaToOne: true,
    timestepSpacing: "trailing",
    predictionType: "v_prediction",
    rescaleBetasZeroSnr: false,
  });
  await assert.rejects(readSchedulerConfig(goldenPath("absent.json")), { name: "FormatError" });
});

Deno.test("parseSchedulerConfig() refuses what is not built", () => {
  for (
    const json of [
      { trained_betas: [0.1] },
      { clip_sample: true },
      { thresholding: true },
      { rescale_betas_zero_snr: true },
      { rescale_betas_zero_snr: true, prediction_type: "epsilon" },
      { beta_schedule: "squaredcos_cap_v2" },
      { timestep_spacing: "karras" },
      { prediction_type: "sample" },
    ]
  ) {
    const [key] = Object.keys(json);
    assert.throws(() => parse(json), {
      name: "FormatError",
      message: new RegExp(`"${key}" must be`),
    });
  }
});

Deno.test("zero terminal SNR goes with the prediction of velocities", () => {
  const config = parse({ rescale_betas_zero_snr: true, prediction_type: "v_prediction" });
  assert.equal(config.rescaleBetasZeroSnr, true);
  const [plain, rescaled] = [DEFAULT_SCHEDULER_CONFIG, config].map(alphasCumprod);
  assert.deepEqual([rescaled!.at(-1), rescaled![0]], [0, plain![0]]);
  assert.equal(betas(config).at(-1), 1);
  assert.ok(rescaled!.every((alphaBar, t) => alphaBar <= plain![t]! + 1e-15));
});

Deno.test("betas() are evenly spaced, or their square roots are", () => {
  const ends = {
    numTrainTimesteps: 3,
    betaStart: 0.01,
    betaEnd: 0.09,
    rescaleBetasZeroSnr: false,
  };
  const near = (values: Float64Array, expected: number[]) =>
    expected.forEach((value, i) => assert.ok(Math.abs(values[i]! - value) < 1e-15));
  near(betas({ ...ends, betaSchedule: "linear" }), [0.01, 0.05, 0.09]);
  near(betas({ ...ends, betaSchedule: "scaled_linear" }), [0.01, 0.04, 0.09]);
});
