import assert from "node:assert/strict";
import {
  distilledLevels,
  multistepLevels,
  noiseLevels,
} from "../../../../coordinator/sampling/samplers/noise_levels.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../../coordinator/sampling/samplers/scheduler_config.ts";
import {
  isSpacing,
  SIGMA_SCHEDULES,
} from "../../../../coordinator/sampling/samplers/sigma_schedules.ts";
import { TrainingLevels } from "../../../../coordinator/sampling/samplers/training_levels.ts";

const CONFIG = { ...DEFAULT_SCHEDULER_CONFIG, timestepSpacing: "linspace" } as const;
const TRAINING = new TrainingLevels(CONFIG);
const FORMULAS = SIGMA_SCHEDULES.filter((schedule) => !isSpacing(schedule));

const assertFalling = (sigmas: readonly number[], what: string) =>
  assert.ok(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!), what);

Deno.test("every schedule gives n steps that fall from the model's noisiest level to the end", () => {
  for (const schedule of FORMULAS) {
    for (const n of [1, 2, 5, 10, 50]) {
      for (const final of ["zero", "sigma_min"] as const) {
        const { sigmas, timestepOf } = multistepLevels(n, CONFIG, { schedule, final });
        const what = `${schedule} ${n} ${final}`;
        assert.equal(sigmas.length, n + 1, what);
        assertFalling(sigmas, what);
        // ddim_uniform begins a stride below.
        const begins = schedule === "ddim_uniform" ? TRAINING.sigmas[1]! : TRAINING.sigmaMax * 0.99;
        assert.ok(sigmas[0]! >= begins && sigmas[0]! < 14.62, what);
        const end = sigmas.at(-1)!;
        if (final === "sigma_min" || schedule === "kl_optimal") {
          assert.ok(end > 0, what);
        } else assert.equal(end, 0, what);
        assert.ok(sigmas.slice(0, -1).every((sigma) => Number.isInteger(timestepOf(sigma))), what);
      }
      const { sigmas } = noiseLevels(n, CONFIG, schedule);
      assert.equal(sigmas.length, n + 1, schedule);
      assertFalling(sigmas, `${schedule} ${n}`);
    }
  }
});

Deno.test("a schedule that has no n steps says how many it has", () => {
  assert.throws(() => noiseLevels(30, CONFIG, "ddim_uniform"), {
    name: "UsageError",
    message:
      '--steps must be a number for which the schedule "ddim_uniform" has as many: current value is 30, and it has 31',
  });
});

Deno.test("multistep runs end where they are to, and start as noise of variance 1 on sqrt(alphaBar) x", () => {
  const { sigmas, initNoiseSigma } = multistepLevels(8, CONFIG);
  assert.deepEqual([sigmas.length, sigmas.at(-1)], [9, 0]);
  assert.ok(Math.abs(initNoiseSigma / Math.hypot(sigmas[0]!, 1) - 1) < 1e-15);
  const positive = multistepLevels(8, CONFIG, { final: "sigma_min" }).sigmas;
  assert.deepEqual(positive.slice(0, -1), sigmas.slice(0, -1));
  assert.equal(positive.at(-1), TRAINING.sigmaMin);
});

Deno.test("multistep levels refuse more steps than there are timesteps to tell apart", () => {
  assert.equal(new Set(multistepLevels(999, CONFIG).sigmas).size, 1000);
  assert.throws(() => multistepLevels(1000, CONFIG), {
    message: "--steps must be a whole number in 1..999: current value is 1000",
  });
  const trailing = { ...CONFIG, timestepSpacing: "trailing" } as const;
  assert.equal(new Set(multistepLevels(1000, trailing).sigmas).size, 1001);
});

Deno.test("distilled models are asked at timesteps that they know", () => {
  const { sigmas, timestepOf } = distilledLevels(4, CONFIG, "zero");
  assert.deepEqual(sigmas.slice(0, -1).map(timestepOf), [999, 759, 499, 259]);
  assert.equal(distilledLevels(50, CONFIG, "zero").sigmas.length, 51);
  assert.throws(() => distilledLevels(51, CONFIG, "zero"), {
    message: "--steps must be a whole number in 1..50: current value is 51",
  });
});

Deno.test("with zero terminal SNR the noisiest level is large and not infinite", () => {
  const training = new TrainingLevels({ ...CONFIG, rescaleBetasZeroSnr: true });
  assert.ok(Math.abs(training.sigmaMax - 4096) < 1e-3);
  assert.ok(training.sigmas[998]! < 3000);
  assert.equal(training.timestepOf(training.sigmaMax), 999);
});
