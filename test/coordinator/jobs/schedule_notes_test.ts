import assert from "node:assert/strict";
import { distilledFor } from "../../../coordinator/ensemble/distilled_for.ts";
import type { Ensemble } from "../../../coordinator/ensemble/ensemble.ts";
import { noteSchedule, warnOfExperts } from "../../../coordinator/jobs/schedule_notes.ts";
import type { OwnSchedule } from "../../../shared/checkpoint/own_schedule.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../shared/models/config/scheduler_config.ts";
import { AffineExpert } from "../../support/affine_expert.ts";

const TRAILING = { ...DEFAULT_SCHEDULER_CONFIG, timestepSpacing: "trailing" } as const;

Deno.test("noteSchedule() announces timesteps only where they are used, and says how else", () => {
  const told = (config: OwnSchedule["config"], job: Parameters<typeof noteSchedule>[1]) => {
    const lines: string[] = [];
    noteSchedule({ config, source: "its config" }, job, (line) => lines.push(line));
    return lines.join("\n");
  };
  const used = "Schedule: noise prediction, trailing timesteps (its config)";
  assert.equal(told(TRAILING, { sampler: "ddim" }), used);
  assert.equal(told(TRAILING, { sampler: "ddim", schedule: "trailing" }), used);
  const replaced = (by: string, cure: string) =>
    `Schedule: noise levels are placed by ${by}, not by the model's trailing timesteps: ${cure} takes those`;
  const karras = replaced("karras", "--sampler dpmpp_2m --schedule trailing");
  assert.equal(told(TRAILING, { sampler: "dpmpp_2m_karras" }), karras);
  assert.equal(told(TRAILING, { sampler: "dpmpp_2m", schedule: "karras" }), karras);
  const velocity = { ...TRAILING, predictionType: "v_prediction" } as const;
  assert.match(
    told(velocity, { sampler: "euler", schedule: "leading" }),
    /^Schedule: v-prediction \(its config\); noise levels are placed by leading, not/,
  );
  assert.equal(
    told({ ...TRAILING, timestepSpacing: "leading" }, { sampler: "dpmpp_2m_karras" }),
    "",
  );
});

function ensembleOf(...schedules: readonly (Partial<OwnSchedule> | undefined)[]) {
  const members = schedules.map((own, i) => ({
    name: ["photo", "anime"][i]!,
    where: `worker ${i}`,
    expert: new AffineExpert({
      description: own
        ? { ownSchedule: { config: DEFAULT_SCHEDULER_CONFIG, source: "its config", ...own } }
        : {},
    }),
  }));
  return { members } as unknown as Ensemble;
}

Deno.test("warnOfExperts() tells of distilled experts and of marks without effect", () => {
  const warnings = (ensemble: Ensemble, sampler: string, asked?: readonly number[]) => {
    const lines: string[] = [];
    warnOfExperts(ensemble, asked ? { asked } : {}, { sampler, warn: (line) => lines.push(line) });
    return lines;
  };
  const tcd = ensembleOf({ madeFor: "tcd" }, undefined);
  assert.deepEqual(warnings(tcd, "DPM++ 2M Karras"), [
    'Expert "photo" is made for few steps of tcd with little guidance (its its config): it is drawn with ' +
    "dpmpp_2m_karras; --sampler tcd --steps 4 --guidance 1 suits it",
  ]);
  assert.deepEqual(warnings(tcd, "tcd"), []);
  assert.deepEqual(warnings(tcd, "ddim", [1]), []);
  const [ignored, ...others] = warnings(ensembleOf({ ignored: "ztsnr" }), "ddim");
  assert.match(ignored!, /^Expert "photo": ztsnr \(zero terminal SNR\) has no effect.*v_pred/);
  assert.deepEqual(others, []);
});

Deno.test("distilledFor() is the sampler that all experts are made for", () => {
  assert.equal(distilledFor(ensembleOf({ madeFor: "lcm" }, { madeFor: "lcm" })), "lcm");
  assert.equal(distilledFor(ensembleOf({ madeFor: "lcm" }, { madeFor: "tcd" })), undefined);
  assert.equal(distilledFor(ensembleOf({ madeFor: "lcm" }, undefined)), undefined);
  assert.equal(distilledFor(ensembleOf(undefined)), undefined);
});
