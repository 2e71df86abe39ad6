import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng, zooPath } from "../support/zoo.ts";

/** A bundled expert as a model folder that says this of its noise. */
async function modelFolder(home: TuttiHome, name: string, scheduler: unknown): Promise<void> {
  const folder = home.file(name);
  await mkdir(join(folder, "scheduler"), { recursive: true });
  for (const part of ["unet", "text_encoder"]) {
    await symlink(zooPath("round", part), join(folder, part));
  }
  const config = join(folder, "scheduler", "scheduler_config.json");
  await writeFile(config, JSON.stringify(scheduler));
}

/** An ensemble of these models, each an expert of its name. */
async function ensembleFile(home: TuttiHome, file: string, models: readonly string[]) {
  const experts = models.map((model) => `[[experts]]\nname = "${model}"\nmodel = "${model}"\n`);
  const shared = ["vae", "tokenizer"].map((part) => `${part} = "${zooPath(part)}"\n`);
  await writeFile(home.file(file), [`name = "own"\n`, ...shared, ...experts].join(""));
}

testTutti("models are sampled with the schedule that they ask for", async (home) => {
  await modelFolder(home, "velocity", {
    _class_name: "EulerDiscreteScheduler",
    prediction_type: "v_prediction",
    rescale_betas_zero_snr: true,
    timestep_spacing: "trailing",
  });
  await modelFolder(home, "noise", { _class_name: "PNDMScheduler" });
  await modelFolder(home, "few", { _class_name: "LCMScheduler" });
  await ensembleFile(home, "few.toml", ["few"]);
  await modelFolder(home, "edm", { _class_name: "EDMEulerScheduler", sigma_max: 80 });
  await ensembleFile(home, "mixed.toml", ["noise", "velocity"]);
  await ensembleFile(home, "edm.toml", ["edm"]);

  const { stdout } = await home.expect(0, ["inspect", "velocity"]);
  assert.match(
    stdout,
    /^schedule +v-prediction, zero terminal SNR, trailing timesteps \(scheduler_config\.json\)$/m,
  );

  const sample = ["sample", PROMPT, "--steps", "2", "--seed", "5", "--size", "16"];
  const mixed = [...sample, "--ensemble", "mixed.toml"];
  const refused = await home.expect(1, mixed);
  assert.match(
    refused.stderr,
    /Experts must agree in predictionType: "epsilon" at noise .* differs from "v_prediction" at velocity/,
  );
  const alone = await home.expect(0, [...mixed, "--method", "only:velocity", "--out", "v.png"]);
  assert.match(
    alone.stderr,
    /^Schedule: v-prediction, zero terminal SNR \(velocity's scheduler_config\.json\); noise levels are placed by karras/m,
  );
  const { conditions } = JSON.parse((await readPng(home.file("v.png"))).text.tutti!);
  assert.match(conditions.scheduler, /"rescaleBetasZeroSnr":true.*"timestepSpacing":"trailing"/);
  const usual = await home.expect(0, [...mixed, "--method", "only:noise", "--out", "n.png"]);
  assert.doesNotMatch(usual.stderr, /Schedule/);

  const few = [...sample, "--ensemble", "few.toml", "--out", "f.png"];
  const warned = await home.expect(0, [...few, "--sampler", "ddim"]);
  assert.match(
    warned.stderr,
    /^warning: Expert "few" is made for few steps of lcm .*: it is drawn with ddim; --sampler lcm --steps 4 --guidance 1 suits it$/m,
  );
  const asMade = await home.expect(0, few);
  assert.match(asMade.stderr, /^Drawing with --sampler lcm --steps 4 --guidance 1, which/m);
  assert.doesNotMatch(asMade.stderr, /made for few steps/);

  for (const args of [["inspect", "edm"], [...sample, "--ensemble", "edm.toml"]]) {
    const { stderr } = await home.expect(4, args);
    assert.match(stderr, /"_class_name" is "EDMEulerScheduler", which is EDM .*CosXL/);
  }
});
