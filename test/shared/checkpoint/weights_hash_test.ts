import assert from "node:assert/strict";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { writeRandomCheckpoint } from "../../../coordinator/zoo/random_checkpoint.ts";
import { type Checkpoint, openCheckpoint } from "../../../shared/checkpoint/checkpoint.ts";
import { modelHash, weightPaths } from "../../../shared/checkpoint/model_hash.ts";
import { weightsHash } from "../../../shared/checkpoint/weights_hash.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { serveExpert } from "../../support/serve_expert.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const SCALE = { scale: 0.03, depth: 1 };

function fileHash({ unet, text, text2 }: Checkpoint): Promise<string> {
  const tables = [unet, text, text2].flatMap((part) => part ? [part.weights] : []);
  return modelHash(weightPaths(...tables));
}

for (const family of ["sd15", "sdxl"] as const) {
  Deno.test(`weightsHash() of a folder and a single file of one ${family} model agree`, async () => {
    await using folder = await tempFolder();
    const parts = modelParts(modelConfigs(family, SCALE));
    const write = (name: string, layout: "single" | "diffusers", seed = 1n) =>
      writeRandomCheckpoint({
        ...{ path: folder.join(name), family, parts, seed, layout, dtype: "float16" },
      });
    await write("model", "diffusers");
    await write("model.safetensors", "single");
    await write("other.safetensors", "single", 2n);
    const configFrom = folder.join("model");
    const [model, file, other] = [
      await openCheckpoint(folder.join("model")),
      await openCheckpoint(folder.join("model.safetensors"), { configFrom }),
      await openCheckpoint(folder.join("other.safetensors"), { configFrom }),
    ];
    const hash = await weightsHash(model);
    assert.match(hash, /^[0-9a-f]{64}$/);
    assert.equal(await weightsHash(file), hash);
    assert.notEqual(await weightsHash(other), hash);
    assert.notEqual(await fileHash(file), await fileHash(model));

    // A buffer that some exports carry along counts for nothing, and a tensor that is used counts.
    const { text } = model;
    const [key, location] = [...text!.weights][0]!;
    const withKey = (name: string) => ({
      ...model,
      text: { ...text!, weights: new Map([...text!.weights, [name, location]]) },
    });
    assert.equal(await weightsHash(withKey("text_model.embeddings.position_ids")), hash);
    assert.equal(await weightsHash(withKey("text_projection.weight")), hash);
    assert.notEqual(await weightsHash(withKey(`${key}.more`)), hash);
  });
}

Deno.test("an expert's weights hash is told over the wire where it is asked for", async () => {
  const expert = await openGoldenExpert("a");
  try {
    await using served = await serveExpert(expert);
    const hashes = await served.remote.weightsHashes();
    assert.deepEqual(hashes, await expert.weightsHashes());
    assert.equal(hashes!.weightsHash, hashes!.baseWeightsHash);
    assert.equal("weightsHash" in served.remote.description, false);
  } finally {
    await expert.close();
  }
});
