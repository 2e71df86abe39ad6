import assert from "node:assert/strict";
import { alphasCumprod, betas } from "../../../../coordinator/sampling/samplers/noise_schedule.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  parseSchedulerConfig,
  readSchedulerConfig,
} from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { goldenPath } from "../../../support/goldens.ts";
import { tempFolder } from "../../../support/temp_folder.ts";

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
      { trained_betas: [0.1], num_train_timesteps: 2 },
      { trained_betas: [] },
      { trained_betas: [0.1, 1] },
      { trained_betas: [0.1, "0.2"] },
      { num_train_timesteps: 1 },
      { num_train_timesteps: 1e9 },
      { beta_start: 0 },
      { beta_end: "0.012" },
      { beta_end: 1 },
      { steps_offset: -1 },
      { set_alpha_to_one: 1 },
      { rescale_betas_zero_snr: "yes", prediction_type: "v_prediction" },
      { thresholding: true },
      { rescale_betas_zero_snr: true },
      { rescale_betas_zero_snr: true, prediction_type: "epsilon" },
      { beta_schedule: "squaredcos_cap_v2" },
      { timestep_spacing: "karras" },
      { prediction_type: "sample" },
      { prediction_type: ["epsilon"] },
      { _class_name: "DDIMSheduler" },
      { _class_name: ["diffusers", "DDIMScheduler"] },
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

Deno.test("a config with holes is Stable Diffusion's where they are", () => {
  const holes = {
    beta_start: null,
    trained_betas: null,
    timestep_spacing: null,
    clip_sample: true,
  };
  assert.deepEqual(parse({ ...holes, rescale_betas_zero_snr: null }), DEFAULT_SCHEDULER_CONFIG);
});

Deno.test("an ensemble's own file may not ask to clip", async () => {
  await using temp = await tempFolder();
  const path = temp.join("scheduler_config.json");
  await Deno.writeTextFile(path, '{"clip_sample": true}');
  await assert.rejects(readSchedulerConfig(path), { message: /"clip_sample" must be false/ });
});

Deno.test("an unknown class is refused with the nearest one", () => {
  assert.throws(() => parse({ _class_name: "EulerDiscretScheduler" }), {
    name: "FormatError",
    message: /"EulerDiscretScheduler" \(did you mean "EulerDiscreteScheduler"\?\)$/,
  });
});

Deno.test("models of another noise are refused by name", () => {
  const edm = /which is EDM \(Karras.*CosXL.*; Tutti samples models of noise or velocity/;
  const flow = /which is flow matching/;
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ _class_name: "EDMEulerScheduler", sigma_max: 80 }, edm],
    [{ _class_name: "EDMDPMSolverMultistepScheduler", prediction_type: "epsilon" }, edm],
    [{ _class_name: "CosineDPMSolverMultistepScheduler" }, edm],
    [{ _class_name: "EulerDiscreteScheduler", prediction_type: "edm" }, edm],
    [{ prediction_type: "v-prediction edm" }, edm],
    [{ timestep_type: "continuous", prediction_type: "v_prediction" }, edm],
    [{ _class_name: "FlowMatchEulerDiscreteScheduler", shift: 3 }, flow],
    [{ prediction_type: "flow_prediction" }, flow],
    [{ use_flow_sigmas: true }, flow],
  ];
  for (const [json, message] of cases) {
    assert.throws(() => parse(json), { name: "FormatError", message }, JSON.stringify(json));
  }
});

Deno.test("trained betas are taken as they are, and rescaled where the config says so", () => {
  const trained_betas = [0.1, 0.2, 0.5];
  const config = parse({ trained_betas });
  assert.equal(config.numTrainTimesteps, 3);
  assert.deepEqual([...betas(config)], trained_betas);
  const alphas = [...alphasCumprod(config)];
  [0.9, 0.72, 0.36].forEach((alpha, t) => assert.ok(Math.abs(alphas[t]! - alpha) < 1e-15));
  const zero = parse({
    trained_betas,
    prediction_type: "v_prediction",
    rescale_betas_zero_snr: true,
  });
  const rescaled = alphasCumprod(zero);
  // Lin et al. 2023, Algorithm 1, by hand: roots 0.94868, 0.84853, 0.6.
  const middle = ((Math.sqrt(0.72) - 0.6) * Math.sqrt(0.9) / (Math.sqrt(0.9) - 0.6)) ** 2;
  assert.ok(Math.abs(rescaled[1]! - middle) < 1e-15);
  assert.deepEqual([rescaled[2], Math.abs(rescaled[0]! - 0.9) < 1e-15], [0, true]);
});
