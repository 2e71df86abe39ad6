/** SD1.5 and SDXL draw from the checkpoint alone: narrow random models that bring no tokenizer, with CLIP's whole vocabulary. */

import assert from "node:assert/strict";
import { openEnsemble } from "../../../coordinator/ensemble/ensemble.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { runJob } from "../../../coordinator/jobs/run_job.ts";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import { tempFolder } from "../../support/temp_folder.ts";

for (const [family, pads] of [["sd15", [49407]], ["sdxl", [49407, 0]]] as const) {
  Deno.test(`an ${family} model without a tokenizer draws with CLIP's own`, async () => {
    await using folder = await tempFolder();
    const path = folder.join("model");
    const parts = modelParts(modelConfigs(family, { scale: 0.03, depth: 1 }));
    await writeRandomCheckpoint({
      ...{ path, family, parts, seed: 1n },
      ...{ layout: "diffusers", dtype: "float16" },
    });
    const told: string[] = [];
    await using ensemble = await openEnsemble({
      name: "alone",
      experts: [{ name: "alone", model: path }],
      sabw: { kind: "uniform" },
      vae: `${path}/vae`,
    }, { isLocal: true, onProgress: (text) => told.push(text) });
    assert.ok(told.includes("Using CLIP's own tokenizer"), told.join("\n"));
    assert.deepEqual(ensemble.tokenizers.map(({ padTokenId }) => padTokenId), pads);
    const spec = newJob({ prompt: "a photo of a cat", seeds: [7n], ensemble: "alone" }, {
      steps: 1,
      size: { width: 64, height: 64 },
      method: "average",
    });
    const { latents } = await runJob({ ensemble, spec, warn: () => {} });
    assert.ok(latents.data.every(Number.isFinite));
  });
}
