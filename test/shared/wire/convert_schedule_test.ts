import assert from "node:assert/strict";
import type { OwnSchedule } from "../../../shared/checkpoint/own_schedule.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../shared/models/config/scheduler_config.ts";
import {
  descriptionFromMessage,
  descriptionToMessage,
  type WorkerDescription,
} from "../../../shared/wire/convert_description.ts";
import type { Message } from "../../../shared/wire/fields.ts";
import { DEFAULT_LIMITS } from "../../../shared/wire/limits.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { travel } from "./travel.ts";

function describing(ownSchedule: OwnSchedule): WorkerDescription {
  const { predictionType } = ownSchedule.config;
  return {
    versions: { protocol: { min: 1, max: 3 }, tutti: "1.2.3", deno: "2.9.6", runtime: "r 1" },
    expert: { ...new AffineExpert().description, predictionType, ownSchedule },
    configJson: "",
    limits: DEFAULT_LIMITS,
  };
}

const VELOCITY = { ...DEFAULT_SCHEDULER_CONFIG, predictionType: "v_prediction" } as const;

Deno.test("the noise of training comes through unchanged, and in the order in which a file is read", () => {
  const configs: OwnSchedule["config"][] = [
    DEFAULT_SCHEDULER_CONFIG,
    { ...VELOCITY, rescaleBetasZeroSnr: true, timestepSpacing: "trailing", stepsOffset: 0 },
    { ...VELOCITY, betaSchedule: "linear", betaStart: 0.001, setAlphaToOne: true },
    { ...DEFAULT_SCHEDULER_CONFIG, numTrainTimesteps: 3, trainedBetas: [0.1, 0.2, 1 / 3] },
  ];
  for (const config of configs) {
    const said = { source: "scheduler_config.json", madeFor: "lcm", ignored: "ztsnr" } as const;
    const worker = describing({ config, ...said });
    const message = travel("Describe", "response", descriptionToMessage(worker));
    const read = descriptionFromMessage(message);
    assert.deepEqual(read, worker);
    if (!config.trainedBetas) {
      assert.equal(JSON.stringify(read.expert.ownSchedule!.config), JSON.stringify(config));
    }
  }
});

Deno.test("noise that makes no sense is refused, naming the field", () => {
  const good = descriptionToMessage(describing({ config: VELOCITY, source: "v_pred" }));
  const cases: [Message, RegExp][] = [
    [{ numTrainTimesteps: 1 }, /num_train_timesteps must be a whole number in 2\.\.100000/],
    [{ betaSchedule: "cosine" }, /beta_schedule must be one of "scaled_linear", "linear"/],
    [{ betaStart: 0 }, /beta_start must be a number above 0 and below 1/],
    [{ betaEnd: NaN }, /beta_end must be a finite number/],
    [{ trainedBetas: [0.1] }, /trained_betas must be 1000 numbers above 0 and below 1, or none/],
    [{ numTrainTimesteps: 2, trainedBetas: [0.1, 1] }, /trained_betas must be 2 numbers/],
    [{ timestepSpacing: "karras" }, /timestep_spacing must be one of/],
    [{ madeFor: "ddim" }, /made_for must be one of "lcm", "tcd"/],
    [{ ignored: "x".repeat(201) }, /ignored must be at most 200 characters/],
    [{ source: "x".repeat(201) }, /source must be at most 200 characters/],
  ];
  for (const [changes, message] of cases) {
    const noiseSchedule = { ...good.noiseSchedule as Message, ...changes };
    assert.throws(() => descriptionFromMessage({ ...good, noiseSchedule }), {
      code: "INVALID_ARGUMENT",
      message,
    });
  }
  const rescaled = { ...good.noiseSchedule as Message, rescaleBetasZeroSnr: true };
  assert.throws(
    () => descriptionFromMessage({ ...good, predictionType: "epsilon", noiseSchedule: rescaled }),
    { message: /rescale_betas_zero_snr must be false for a prediction of "epsilon"/ },
  );
});
