import assert from "node:assert/strict";
import {
  SD15_TEXT,
  SD15_UNET,
  SD15_VAE,
  SDXL_TEXT_2,
  SDXL_UNET,
  SDXL_VAE,
} from "../../../../shared/models/config/known_configs.ts";
import { parseClipTextConfig } from "../../../../shared/models/config/clip_config.ts";
import {
  clipTextConfigJson,
  unetConfigJson,
  vaeConfigJson,
} from "../../../../shared/models/config/config_json.ts";
import { ConfigFields } from "../../../../shared/models/config/fields.ts";
import { parseUNetConfig } from "../../../../shared/models/config/unet_config.ts";
import { parseVaeConfig } from "../../../../shared/models/config/vae_config.ts";

/** As a file would bring it. */
const read = (json: unknown) => new ConfigFields(JSON.parse(JSON.stringify(json)), "config.json");

/** Every field differs from its default, so one that is not written shows. */
const UNUSUAL_UNET = {
  ...SDXL_UNET,
  inChannels: 5,
  outChannels: 6,
  sampleSize: 96,
  layersPerBlock: 3,
  normNumGroups: 16,
  normEps: 1e-6,
  flipSinToCos: false,
  freqShift: 1,
};
const UNUSUAL_TEXT = {
  ...SDXL_TEXT_2,
  vocabSize: 300,
  maxLength: 16,
  layerNormEps: 1e-6,
  bosTokenId: 7,
  eosTokenId: 8,
  padTokenId: 9,
};
const UNUSUAL_VAE = {
  ...SDXL_VAE,
  inChannels: 1,
  outChannels: 2,
  latentChannels: 8,
  layersPerBlock: 3,
  normNumGroups: 16,
};

Deno.test("unetConfigJson() writes what parseUNetConfig() reads", () => {
  for (const config of [SD15_UNET, SDXL_UNET, UNUSUAL_UNET]) {
    assert.deepEqual(parseUNetConfig(read(unetConfigJson(config))), config);
  }
});

Deno.test("clipTextConfigJson() writes what parseClipTextConfig() reads", () => {
  for (const config of [SD15_TEXT, SDXL_TEXT_2, UNUSUAL_TEXT]) {
    assert.deepEqual(parseClipTextConfig(read(clipTextConfigJson(config, true))), config);
  }
});

Deno.test("vaeConfigJson() writes what parseVaeConfig() reads", () => {
  for (const config of [SD15_VAE, SDXL_VAE, UNUSUAL_VAE]) {
    assert.deepEqual(parseVaeConfig(read(vaeConfigJson(config))), config);
  }
});
