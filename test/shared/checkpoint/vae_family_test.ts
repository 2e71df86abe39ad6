import assert from "node:assert/strict";
import { SD15_VAE, SDXL_VAE } from "../../../shared/models/config/known_configs.ts";
import { vaeForFamily } from "../../../shared/checkpoint/vae_family.ts";
import { openVae } from "../../../shared/checkpoint/vae_checkpoint.ts";
import { goldenPath } from "../../support/goldens.ts";

const weights = new Map();

Deno.test("vaeForFamily() refuses the other family's VAE, by its checkpoint or its scaling factor", () => {
  const refusal = (owner: string) => ({
    name: "FormatError",
    message: new RegExp(`this is one of ${owner} `),
  });
  const sdxl = { weights, config: SDXL_VAE };
  assert.throws(() => vaeForFamily(sdxl, "sd15", "v"), refusal("SDXL"));
  assert.throws(() => vaeForFamily({ weights, config: SD15_VAE }, "sdxl", "v"), refusal("SD1.5"));
  assert.throws(() => vaeForFamily({ ...sdxl, family: "sd15" }, "sdxl", "v"), refusal("SD1.5"));
  assert.equal(vaeForFamily(sdxl, "sdxl", "v").config, SDXL_VAE);
});

Deno.test("vaeForFamily() leaves a factor of its own alone, and gives a bare VAE the family's", () => {
  const own = { weights, config: { ...SD15_VAE, scalingFactor: 0.7 } };
  assert.equal(vaeForFamily(own, "sdxl", "v").config.scalingFactor, 0.7);
  const bare = { weights, config: SD15_VAE, isConfigAssumed: true };
  assert.equal(vaeForFamily(bare, "sdxl", "v").config.scalingFactor, SDXL_VAE.scalingFactor);
  assert.equal(vaeForFamily(bare, "sd15", "v").config.scalingFactor, SD15_VAE.scalingFactor);
});

Deno.test("openVae() of a checkpoint's single file knows the family", async () => {
  const file = goldenPath("sd15", "expert-a.safetensors");
  const part = await openVae(file, goldenPath("sd15", "vae"));
  assert.equal(part.family, "sd15");
  assert.throws(() => vaeForFamily(part, "sdxl", file), /this is one of SD1\.5/);
});
