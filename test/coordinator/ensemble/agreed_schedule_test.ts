import assert from "node:assert/strict";
import { agreedSchedule } from "../../../coordinator/ensemble/agreed_schedule.ts";
import type { ConnectedExpert } from "../../../coordinator/ensemble/open_experts.ts";
import { TuttiError } from "../../../shared/errors.ts";
import {
  DEFAULT_SCHEDULER_CONFIG,
  type SchedulerConfig,
} from "../../../shared/models/config/scheduler_config.ts";
import { AffineExpert } from "../../support/affine_expert.ts";

/** An expert that says this of itself; without changes nothing. */
function member(name: string, changes?: Partial<SchedulerConfig>): ConnectedExpert {
  const config = { ...DEFAULT_SCHEDULER_CONFIG, ...changes };
  const expert = new AffineExpert();
  const description = {
    ...expert.description,
    name,
    predictionType: config.predictionType,
    ...(changes && { ownSchedule: { config, source: "scheduler_config.json" } }),
  };
  return {
    ...{ name, where: `${name} (gpu:7070)`, isElsewhere: false },
    expert: Object.create(expert, { description: { value: description } }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const ZERO_SNR = { predictionType: "v_prediction", rescaleBetasZeroSnr: true } as const;

Deno.test("experts that say nothing are Stable Diffusion's", () => {
  const members = [member("photo"), member("anime")];
  assert.deepEqual(agreedSchedule({ members }), { config: DEFAULT_SCHEDULER_CONFIG });
});

Deno.test("what the experts say is used, and timesteps are the first one's that says something", () => {
  const spaced = { timestepSpacing: "trailing", stepsOffset: 0 } as const;
  const members = [member("photo"), member("anime", spaced), member("ink", {})];
  assert.deepEqual(agreedSchedule({ members }), {
    config: { ...DEFAULT_SCHEDULER_CONFIG, ...spaced },
    source: "anime's scheduler_config.json",
  });
  const zero = [member("photo", ZERO_SNR)];
  assert.deepEqual(agreedSchedule({ members: zero }).config, {
    ...DEFAULT_SCHEDULER_CONFIG,
    ...ZERO_SNR,
  });
});

Deno.test("the file that an ensemble names wins, but for what is predicted", () => {
  const schedulerConfig = { ...DEFAULT_SCHEDULER_CONFIG, betaStart: 0.001 };
  const members = [member("photo", ZERO_SNR), member("ink", { predictionType: "v_prediction" })];
  assert.deepEqual(agreedSchedule({ members, schedulerConfig }), {
    config: { ...schedulerConfig, predictionType: "v_prediction" },
    source: "the ensemble's scheduler",
  });
});

Deno.test("experts that disagree are refused with both values, unless only one of them is asked", () => {
  const listed = { numTrainTimesteps: 3, trainedBetas: [0.1, 0.2, 0.3] };
  const cases: [Partial<SchedulerConfig>, Partial<SchedulerConfig> | undefined, RegExp][] = [
    [
      ZERO_SNR,
      undefined,
      /agree in predictionType: "v_prediction" at photo \(gpu.* from "epsilon" at anime/,
    ],
    [ZERO_SNR, { predictionType: "v_prediction" }, /zero terminal SNR\): true at .* from false at/],
    [
      { betaSchedule: "linear", betaEnd: 0.02 },
      undefined,
      /betas: "linear betas 0\.00085\.\.0\.02" at .* from "scaled_linear betas 0\.00085\.\.0\.012"/,
    ],
    [{ numTrainTimesteps: 500 }, {}, /betas: "scaled_linear betas .* for 500 timesteps"/],
    [listed, { ...listed, trainedBetas: [0.1, 0.25, 0.3] }, /trained_betas\[1\]: 0\.2 at .* 0\.25/],
  ];
  for (const [one, other, message] of cases) {
    const members = [member("photo", one), member("anime", other)];
    for (const asked of [undefined, [0, 1], [1, 0]]) {
      assert.throws(() => agreedSchedule({ members }, asked), (error) => {
        assert.ok(error instanceof TuttiError);
        assert.equal(error.code, "FAILED_PRECONDITION");
        if (asked?.[0] !== 1) assert.match(error.message, message);
        return true;
      });
    }
    const alone = agreedSchedule({ members }, [0]);
    assert.deepEqual(alone.config, { ...DEFAULT_SCHEDULER_CONFIG, ...one });
    const { predictionType } = agreedSchedule({ members }, [1]).config;
    assert.equal(predictionType, members[1]!.expert.description.predictionType);
  }
});
