import assert from "node:assert/strict";
import { givenSettings } from "../../../coordinator/cli/job_options.ts";
import { chooseSettings } from "../../../coordinator/settings/choose_settings.ts";
import { firstGiven, PRESETS } from "../../../coordinator/settings/presets.ts";
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

Deno.test("flags win over a preset, and a preset over what a picture says", () => {
  const given = givenSettings({ preset: "fast", steps: 30 });
  assert.deepEqual(given, { sampler: "dpmpp_2m_karras", steps: 30, guidance: 7 });
  assert.deepEqual(firstGiven(given, { steps: 10, clipSkip: 2 }), { ...given, clipSkip: 2 });
});
