/** Experts of different architecture: two tiny random models on workers, which share nothing but what latents and noise mean. @module */

import assert from "node:assert/strict";
import { type Ensemble, openEnsemble } from "../../../coordinator/ensemble/ensemble.ts";
import type { EnsemblePlan } from "../../../coordinator/ensemble/ensemble_plan.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { type DrawnImages, runJob } from "../../../coordinator/jobs/run_job.ts";
import { type ModelConfigs, modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import type { ClipTextConfig } from "../../../shared/models/config/clip_config.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { lincomb } from "../../../shared/tensor/lincomb.ts";
import { assertClose, assertFar } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { PROMPT, zooPath } from "../../support/zoo.ts";

/** Of the bundled tokenizer's vocabulary. */
const WORDS: Partial<ClipTextConfig> = await zooWords();

async function zooWords(): Promise<Partial<ClipTextConfig>> {
  const json = JSON.parse(
    await Deno.readTextFile(zooPath("round", "text_encoder", "config.json")),
  );
  return {
    vocabSize: json.vocab_size,
    maxLength: json.max_position_embeddings,
    bosTokenId: json.bos_token_id,
    eosTokenId: json.eos_token_id,
    padTokenId: json.pad_token_id,
  };
}

/** SD1.5 made narrow, and one with a layer less in every level, other widths and a wider text encoder. */
function largeConfigs(): ModelConfigs {
  const { text, ...configs } = modelConfigs("sd15", { scale: 0.03, depth: 1 });
  return { ...configs, text: { ...text, ...WORDS } };
}

function smallConfigs(): ModelConfigs {
  const { text, unet, ...configs } = modelConfigs("sd15", { scale: 0.05, depth: 1 });
  return { ...configs, unet: { ...unet, layersPerBlock: 1 }, text: { ...text, ...WORDS } };
}

async function writeModel(path: string, configs: ModelConfigs, seed: bigint): Promise<void> {
  const { family } = configs;
  const parts = modelParts(configs);
  await writeRandomCheckpoint({ path, family, parts, seed, layout: "diffusers", dtype: "float32" });
}

function draw(ensemble: Ensemble, method: string, steps = 2): Promise<DrawnImages> {
  const spec = newJob({ prompt: PROMPT, seeds: [7n], ensemble: "mixed" }, {
    steps,
    size: { width: 64, height: 64 },
    method,
  });
  return runJob({ ensemble, spec, warn: () => {} });
}

const drawOnce = (ensemble: Ensemble, method: string) => draw(ensemble, method, 1);

Deno.test("experts of different architecture: methods on noise draw, methods on features say what differs", async () => {
  await using folder = await tempFolder();
  const [large, small] = [folder.join("large"), folder.join("small")];
  await writeModel(large, largeConfigs(), 1n);
  await writeModel(small, smallConfigs(), 2n);
  const plan: EnsemblePlan = {
    name: "mixed",
    experts: [{ name: "large", model: large }, { name: "small", model: small }],
    sabw: { kind: "uniform" },
    vae: `${large}/vae`,
    tokenizer: zooPath("tokenizer"),
  };

  await using ensemble = await openEnsemble(plan, { mayDiffer: true });
  const widths = ensemble.experts.map(({ description }) => description.crossAttentionDim);
  const blocks = ensemble.experts.map(({ description }) => description.blocks.length);
  assert.notEqual(widths[0], widths[1]);
  assert.deepEqual(blocks, [25, 17]);

  for (const method of ["average", "weights:large=0.7,small=0.3", "one-hot:small", "afa"]) {
    const name = method.split(":")[0]!;
    await assert.rejects(draw(ensemble, method), {
      name: "UsageError",
      message: new RegExp(
        `Method ${name} mixes the experts' features, which must be alike: Experts must agree in timeEmbedDim: ` +
          `\\d+ at .*large.* differs from \\d+ at .*small.*Take a method on noise, such as noise-average`,
      ),
    });
  }

  const [a, b] = [await draw(ensemble, "only:large"), await draw(ensemble, "only:small")];
  for (const method of ["noise-average", "switch", "magicfusion", "autoguidance", "interleave"]) {
    const { latents } = await draw(ensemble, method);
    assert.ok(latents.data.every(Number.isFinite), method);
    assertFar(`${method} and the large expert`, latents, a.latents, 1e-3);
    assertFar(`${method} and the small expert`, latents, b.latents, 1e-3);
  }
  const weighted = await draw(ensemble, "noise-average:small=1");
  assert.ok(bitEqual(weighted.latents.data, b.latents.data), "each expert reads the prompt itself");

  // From the same latents one step of DDIM is linear in the noise.
  const [mean, ofLarge, ofSmall] = [
    await drawOnce(ensemble, "noise-average"),
    await drawOnce(ensemble, "only:large"),
    await drawOnce(ensemble, "only:small"),
  ];
  const expected = lincomb([[0.5, ofLarge.latents], [0.5, ofSmall.latents]]);
  assertClose("the mean of two noises", mean.latents, expected, 1e-5);
});
