import assert from "node:assert/strict";
import {
  findSampler,
  findSchedule,
} from "../../../../coordinator/sampling/samplers/find_sampler.ts";
import { createSampler, SAMPLERS } from "../../../../coordinator/sampling/samplers/samplers.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import {
  SCHEDULES,
  SIGMA_SCHEDULES,
} from "../../../../coordinator/sampling/samplers/sigma_schedules.ts";

const named = (text: string) => {
  const { name, schedule } = findSampler(text);
  return schedule === undefined ? name : [name, schedule];
};

Deno.test("findSampler() knows the names of other tools", () => {
  const names = {
    "Euler a": "euler_a",
    "k_euler_a": "euler_a",
    "k_euler_ancestral": "euler_a",
    "sample_heun": "heun",
    "PLMS": "pndm",
    "k_plms": "pndm",
    "DPM2 a": "dpm_2_a",
    "k_dpm_2": "dpm_2",
    "KDPM2DiscreteScheduler": "dpm_2",
    "DPM++ 2M": "dpmpp_2m",
    "k_dpmpp_2m": "dpmpp_2m",
    "dpm++ 2s a": "dpmpp_2s_a",
    "dpmpp_2s_ancestral": "dpmpp_2s_a",
    "DPM++ 2M SDE Heun": "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde_gpu": "dpmpp_3m_sde",
    "DPMSolverMultistepScheduler": "dpmpp_2m",
    "uni_pc": "unipc",
    "UniPC": "unipc",
    "lcm": "lcm",
  };
  for (const [text, name] of Object.entries(names)) assert.equal(named(text), name, text);
});

Deno.test("every name, label and alias leads to its own row", () => {
  for (const { name, label, aliases } of SAMPLERS) {
    for (const text of [name, label, ...aliases]) assert.equal(named(text), name, text);
  }
});

Deno.test("a joined name is a sampler with a schedule, and leads to itself", () => {
  const names = {
    "DPM++ 2M Karras": ["dpmpp_2m_karras", "karras"],
    "k_dpmpp_2m_ka": ["dpmpp_2m_karras", "karras"],
    "dpmpp_2m_k": ["dpmpp_2m_karras", "karras"],
    "euler_k": ["euler_karras", "karras"],
    "DPM++ 2M SDE Exponential": ["dpmpp_2m_sde_exponential", "exponential"],
    "DPM++ 2M SDE Heun Karras": ["dpmpp_2m_sde_heun_karras", "karras"],
    "Euler a SGM Uniform": ["euler_a_sgm_uniform", "sgm_uniform"],
    "lcm_sgm_uniform": ["lcm_sgm_uniform", "sgm_uniform"],
    "ddim trailing": ["ddim_trailing", "trailing"],
  };
  for (const [text, expected] of Object.entries(names)) {
    assert.deepEqual(named(text), expected, text);
    assert.deepEqual(named(expected[0]!), expected, text);
  }
  assert.equal(findSampler("dpmpp_2m_k").label, "DPM++ 2M Karras");
});

Deno.test("a joined name samples as both parts do, and contradicts no other schedule", () => {
  const options = { steps: 6, config: DEFAULT_SCHEDULER_CONFIG };
  const joined = createSampler("DPM++ 2M Karras", options);
  const parts = createSampler("dpmpp_2m", { ...options, schedule: "karras" });
  assert.deepEqual(joined.evaluations, parts.evaluations);
  assert.deepEqual(
    createSampler("DPM++ 2M Karras", { ...options, schedule: "karras" }).evaluations,
    parts.evaluations,
  );
  assert.throws(() => createSampler("DPM++ 2M Karras", { ...options, schedule: "beta" }), {
    name: "UsageError",
    message: 'The schedule of "DPM++ 2M Karras" must be karras: current value is "beta"',
  });
});

Deno.test("an unknown name gets the nearest and the list", () => {
  assert.throws(() => findSampler("dpmpp_2n"), {
    name: "UsageError",
    message: /^The sampler must be one of ddim, pndm, .*: current value is "dpmpp_2n" \(did you/,
  });
  assert.throws(() => findSampler("DPM+++ 2M Carras"), { message: /must be one of ddim/ });
  // DDIM visits timesteps.
  assert.throws(() => findSampler("ddim karras"), { message: /must be one of ddim/ });
});

Deno.test("findSchedule() knows the names of other tools", () => {
  const names = {
    "Karras": "karras",
    "use_karras_sigmas": "karras",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta",
    "Uniform": "normal",
    "SGM Uniform": "sgm_uniform",
    "sgm-uniform": "sgm_uniform",
    "KL Optimal": "kl_optimal",
    "Align Your Steps": "align_your_steps",
    "AYS": "align_your_steps",
    "Align Your Steps SDXL": "align_your_steps_sdxl",
    "DDIM": "ddim_uniform",
    "ddim_uniform": "ddim_uniform",
    "Trailing": "trailing",
  };
  for (const [text, name] of Object.entries(names)) assert.equal(findSchedule(text).name, name);
  for (const { name, label, aliases } of SCHEDULES) {
    for (const text of [name, label, ...aliases]) assert.equal(findSchedule(text).name, name, text);
  }
});

Deno.test("an unknown schedule gets the nearest and the list", () => {
  assert.throws(() => findSchedule("Karas"), {
    name: "UsageError",
    message:
      /^The schedule must be one of leading, .*: current value is "Karas" \(did you mean "[kK]arras"\?\)$/,
  });
  assert.throws(() => findSchedule(""), { message: /must be one of leading/ });
});

Deno.test("createSampler() refuses what a sampler does not take", () => {
  const options = { steps: 4, config: DEFAULT_SCHEDULER_CONFIG };
  assert.throws(() => createSampler("ddim", { ...options, schedule: "karras" }), {
    message: 'The schedule "karras" is for samplers on noise levels: ddim visits timesteps',
  });
  assert.throws(() => createSampler("tcd", { ...options, schedule: "trailing" }), {
    message: /^The schedule "trailing" is for/,
  });
  assert.throws(() => createSampler("heun", { ...options, eta: 0.5 }), {
    message: "eta is for samplers with a share of new noise: heun has none",
  });
  assert.throws(() => createSampler("lms", { ...options, churn: { amount: 5 } }), {
    message: "churn is for euler, heun, dpm_2: current sampler is lms",
  });
  const config = { ...options.config, rescaleBetasZeroSnr: true };
  assert.throws(() => createSampler("ddim", { ...options, config }), {
    message: "Zero terminal SNR must go with v_prediction: current prediction is epsilon",
  });
  const velocity = { ...config, predictionType: "v_prediction" as const };
  assert.throws(() => createSampler("pndm", { steps: 4, config: velocity, schedule: "trailing" }), {
    message: /^The sampler pndm must begin where there is signal: current first timestep is 999/,
  });
});

Deno.test("a spacing is a schedule of every sampler that takes any, and wins over the config's", () => {
  const config = { ...DEFAULT_SCHEDULER_CONFIG, timestepSpacing: "leading" as const };
  for (const { name, schedules } of SAMPLERS) {
    if (schedules === "none") continue;
    const { evaluations } = createSampler(name, { steps: 4, config, schedule: "trailing" });
    assert.equal(evaluations[0]!.timestep, 999, name);
  }
  assert.deepEqual(SIGMA_SCHEDULES.slice(0, 3), ["leading", "linspace", "trailing"]);
});
