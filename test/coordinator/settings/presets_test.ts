import assert from "node:assert/strict";
import { givenSettings } from "../../../coordinator/cli/job_options.ts";
import { chooseSettings } from "../../../coordinator/settings/choose_settings.ts";
import { wantedPicture, type WishContext } from "../../../coordinator/cli/picture_jobs.ts";
import { jobSpecFromJson, jobSpecToJson, newJob } from "../../../coordinator/jobs/job_spec.ts";
import {
  firstGiven,
  PRESETS,
  USUAL_PRESET,
  withUsualPreset,
} from "../../../coordinator/settings/presets.ts";
import { type GivenSettings, SETTINGS } from "../../../coordinator/settings/settings.ts";

Deno.test("a preset is settings that the table has, with values that it takes", () => {
  for (const { settings } of Object.values(PRESETS)) {
    for (const [name, value] of Object.entries(settings)) {
      assert.deepEqual(SETTINGS[name as keyof typeof SETTINGS].type.read(value), value, name);
    }
  }
  assert.deepEqual(PRESETS.paper.settings, chosen({}, ["sampler", "steps", "guidance"]));
});

function chosen(given: GivenSettings, names: readonly (keyof typeof SETTINGS)[]) {
  const { settings } = chooseSettings(SETTINGS, { given });
  return Object.fromEntries(names.map((name) => [name, settings[name]]));
}

Deno.test("the usual preset is below what was given, and leaves a chosen sampler alone", () => {
  const { settings } = PRESETS[USUAL_PRESET];
  assert.deepEqual(withUsualPreset({}), settings);
  assert.deepEqual(withUsualPreset({ steps: 30, clipSkip: 2 }), {
    ...settings,
    ...{ steps: 30, clipSkip: 2 },
  });
  const chosen = [{ sampler: "ddim" }, { schedule: "trailing" }, { eta: 0 }] as const;
  for (const given of [...chosen, PRESETS.paper.settings]) {
    assert.deepEqual(withUsualPreset(given), given);
  }
});

Deno.test("a new picture is drawn by the usual preset, and what says how it is drawn as ever", () => {
  const wish = { prompt: "a castle", settings: {} };
  const drawnBy = (context: WishContext, own: GivenSettings = {}) => {
    const { chosen } = wantedPicture({ ...wish, settings: own }, context);
    const { sampler, steps, guidance } = chosen.settings;
    return { sampler, steps, guidance };
  };
  const { settings: usual } = PRESETS[USUAL_PRESET];
  const { settings: paper } = PRESETS.paper;
  assert.deepEqual(drawnBy({ given: {} }), usual);
  const lcm = { sampler: "lcm", steps: 4, guidance: 1 };
  assert.deepEqual(drawnBy({ given: {}, madeFor: "lcm" }), lcm);
  assert.deepEqual(drawnBy({ given: { steps: 8 }, madeFor: "lcm" }), { ...lcm, steps: 8 });
  assert.deepEqual(drawnBy({ given: { sampler: "euler" }, madeFor: "lcm" }), {
    ...paper,
    sampler: "euler",
  });
  assert.deepEqual(drawnBy({ given: { guidance: 3 } }), { ...usual, guidance: 3 });
  // An ensemble file's [defaults], a picture or run of before, a sampler by flag or by line.
  const defaults = { file: "a.toml", values: { steps: 30 } };
  assert.deepEqual(drawnBy({ given: {}, defaults }), { ...paper, steps: 30 });
  assert.deepEqual(drawnBy({ given: {}, isAgain: true }), paper);
  // A user's file is below the ensemble's, and above the preset.
  const user = { file: "tutti.toml", values: { steps: 40, guidance: 2 } };
  assert.deepEqual(drawnBy({ given: {}, user }), { ...usual, steps: 40, guidance: 2 });
  assert.deepEqual(drawnBy({ given: { guidance: 3 }, user, defaults }), {
    ...paper,
    ...{ steps: 30, guidance: 3 },
  });
  const named = { file: "tutti.toml", values: { sampler: "euler" } };
  assert.deepEqual(drawnBy({ given: {}, user: named }), { ...paper, sampler: "euler" });
  assert.deepEqual(drawnBy({ given: { sampler: "euler" } }), { ...paper, sampler: "euler" });
  assert.deepEqual(drawnBy({ given: {} }, { sampler: "euler" }), { ...paper, sampler: "euler" });
  assert.deepEqual(drawnBy({ given: givenSettings({ preset: "paper" }) }), paper);
});

Deno.test("a job record without a sampler is the paper's, whatever is usual", () => {
  const json = jobSpecToJson(newJob({ prompt: "a", seeds: [1n], ensemble: "x" }));
  assert.ok(!("sampler" in json));
  const { sampler, steps, guidance } = jobSpecFromJson(json, "Job");
  assert.deepEqual({ sampler, steps, guidance }, PRESETS.paper.settings);
});

Deno.test("flags win over a preset, and a preset over what a picture says", () => {
  const given = givenSettings({ preset: "fast", steps: 30 });
  assert.deepEqual(given, { sampler: "dpmpp_2m_karras", steps: 30, guidance: 7 });
  assert.deepEqual(firstGiven(given, { steps: 10, clipSkip: 2 }), { ...given, clipSkip: 2 });
});
