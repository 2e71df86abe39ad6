import assert from "node:assert/strict";
import { modelConfigs } from "../../../coordinator/zoo/model_configs.ts";
import { modelParts } from "../../../coordinator/zoo/model_parts.ts";
import { SD15_UNET, SDXL_TEXT_2, SDXL_UNET } from "../../../shared/models/config/known_configs.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { parseUNetConfig } from "../../../shared/models/config/unet_config.ts";
import { FAMILY_IDS } from "../../../shared/models/families.ts";
import { parameterCount } from "../../../shared/models/parameters.ts";

const totals = (parts: ReturnType<typeof modelParts>) =>
  Object.fromEntries(
    parts.map(({ folder, parameters }) => [folder, parameterCount(parameters.values())]),
  );

Deno.test("modelConfigs() of a family are the published ones", () => {
  assert.deepEqual(modelConfigs("sd15").unet, SD15_UNET);
  assert.deepEqual(modelConfigs("sdxl").text2, SDXL_TEXT_2);
});

Deno.test("modelParts() have the parameter counts of the published models", () => {
  const shared = { text_encoder: 123_060_480, vae: 83_653_863 };
  assert.deepEqual(totals(modelParts(modelConfigs("sd15"))), { unet: 859_520_964, ...shared });
  assert.deepEqual(totals(modelParts(modelConfigs("sdxl"))), {
    unet: 2_567_463_684,
    text_encoder_2: 694_659_840,
    ...shared,
  });
});

Deno.test("modelConfigs() of other sizes are configs that the parsers take, and smaller", () => {
  for (const family of FAMILY_IDS) {
    let last = Infinity;
    for (const scale of [1, 0.75, 0.5, 0.3, 0.1, 0.01]) {
      const configs = modelConfigs(family, { scale });
      const [unet] = modelParts(configs);
      assert.deepEqual(parseUNetConfig(new ConfigFields(unet!.config, "x")), configs.unet);
      const count = parameterCount(unet!.parameters.values());
      assert.ok(count < last, `${family} ${scale}: ${count}`);
      last = count;
    }
  }
});

Deno.test("modelConfigs() with a depth have that many transformer blocks and text layers at most", () => {
  const { unet, text, text2 } = modelConfigs("sdxl", { depth: 2 });
  assert.deepEqual(unet.transformerLayers, [1, 2, 2]);
  assert.deepEqual([text.numLayers, text2!.numLayers], [2, 2]);
  assert.deepEqual({ ...unet, transformerLayers: SDXL_UNET.transformerLayers }, SDXL_UNET);
});

Deno.test("modelConfigs() refuses a scale or depth out of range", () => {
  for (const scale of [0, -1, 1.5, NaN]) {
    assert.throws(() => modelConfigs("sd15", { scale }), /scale must be above 0 and at most 1/);
  }
  assert.throws(() => modelConfigs("sd15", { depth: 0 }), /depth must be at least 1/);
});
