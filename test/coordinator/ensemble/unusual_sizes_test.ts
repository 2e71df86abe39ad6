/** Single files of unusual sizes in an ensemble file, whose configs it names. @module */

import assert from "node:assert/strict";
import { loadEnsembleFile } from "../../../coordinator/cluster/ensemble_file.ts";
import { openEnsemble } from "../../../coordinator/ensemble/ensemble.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { runJob } from "../../../coordinator/jobs/run_job.ts";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeConfigs, writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import { openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const PARTS = modelParts(modelConfigs("sd15", { scale: 0.03, depth: 1 }));

Deno.test("an ensemble file names the configs of single files of unusual sizes, VAE included", async () => {
  await using temp = await tempFolder();
  const common = { family: "sd15", parts: PARTS, dtype: "float16", seed: 5n } as const;
  await writeRandomCheckpoint({ ...common, path: temp.join("m.safetensors"), layout: "single" });
  await writeRandomCheckpoint({ ...common, path: temp.join("m"), layout: "diffusers" });
  await writeConfigs(temp.join("sizes"), PARTS);
  const draw = async (vae: string, model: string) => {
    const path = temp.join("small.toml");
    await Deno.writeTextFile(path, `name = "small"\n${vae}\n[[experts]]\nname = "a"\n${model}\n`);
    const plan = await loadEnsembleFile(path);
    await using ensemble = await openEnsemble(plan, { isLocal: true });
    const size = { width: 64, height: 64 };
    const settings = { steps: 1, size, guidance: 1 };
    const spec = newJob({ prompt: "a castle", seeds: [7n], ensemble: "small" }, settings);
    return (await runJob({ ensemble, spec, warn: () => {} })).images;
  };
  const folder = await draw('vae = "m"', 'model = "m"');
  const file = await draw(
    'vae = "m.safetensors"\nvae_config = "sizes/vae/config.json"',
    'model = "m.safetensors"\nconfig = "sizes"',
  );
  assert.ok(bitEqual(file.data, folder.data));
  await assert.rejects(
    draw('vae = "m.safetensors"\nvae_config = "sizes"', 'model = "m.safetensors"'),
    /U-Net of .* does not fit its config: .*mis-shaped/,
  );
  await assert.rejects(
    draw('vae = "m"', 'model = "m.safetensors"\nconfig = "size"'),
    /"experts\[0\]\.config" must be the path of a folder or a file that exists/,
  );
  // A U-Net's config alone: the other parts are as published.
  const configFrom = temp.join("sizes", "unet", "config.json");
  const { unet, text } = await openCheckpoint(temp.join("m.safetensors"), { configFrom });
  assert.deepEqual(unet.config, (await openCheckpoint(temp.join("m"))).unet.config);
  assert.equal(text!.config.numLayers, 12);
});
