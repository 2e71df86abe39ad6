import assert from "node:assert/strict";
import { userDefaults } from "../../../coordinator/cluster/user_defaults.ts";
import { flagRefusal } from "../../../coordinator/jobs/flag_refusal.ts";
import { createSampler } from "../../../coordinator/sampling/samplers/samplers.ts";
import { pictureSettings } from "../../../coordinator/settings/picture_settings.ts";
import { exitCode, type TuttiError } from "../../../shared/errors.ts";
import { DEFAULT_SCHEDULER_CONFIG } from "../../../shared/models/config/scheduler_config.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("userDefaults() reads the user's file, if there is one, and names what is wrong in it", async () => {
  await using temp = await tempFolder();
  const read = async (text: string) => {
    await Deno.writeTextFile(temp.join("tutti.toml"), text);
    return await userDefaults(temp.path);
  };
  assert.equal(await userDefaults(temp.path), undefined);
  assert.equal(await userDefaults(undefined), undefined);
  assert.equal(await read(""), undefined);
  assert.deepEqual(await read("[defaults]\nclip_skip = 2\n"), {
    file: temp.join("tutti.toml"),
    values: { clipSkip: 2 },
  });
  const wrong = [
    ["steps = 3", /tutti\.toml: "steps" is no known key: known keys are defaults/],
    ["[default]\nsteps = 3", /"default" is no known key \(did you mean "defaults"\?\)/],
    ["[defaults]\nguidence = 3", /"guidence" is no known key .*\(did you mean "guidance"\?\)/],
    ["[defaults]\nsteps = 0", /"defaults\.steps" must be a whole number/],
    ["[defaults", /tutti\.toml:1:\d+: Settings file must be TOML/],
  ] as const;
  for (const [text, message] of wrong) {
    await assert.rejects(read(text), { name: "FormatError", message });
  }
});

Deno.test("what a flag and a user's file say against each other names the file, with exit code 2", () => {
  const user = { file: "tutti.toml", values: { eta: 0.5 } };
  const { settings, origins } = pictureSettings({ sampler: "heun" }, { user });
  const draw = () => {
    try {
      const { sampler, steps, eta = 0 } = settings;
      createSampler(sampler, { steps, eta, config: DEFAULT_SCHEDULER_CONFIG });
    } catch (error) {
      throw flagRefusal(error, origins);
    }
  };
  assert.throws(draw, (error: TuttiError) => {
    assert.match(
      error.message,
      /^eta is for .*: heun has none \(from "defaults\.eta" of tutti\.toml\)$/,
    );
    assert.equal(exitCode(error), 2);
    return true;
  });
});
