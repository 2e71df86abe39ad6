import assert from "node:assert/strict";
import { FormatError } from "../../../../shared/errors.ts";
import { peftAlpha, readPeftSettings } from "../../../../shared/checkpoint/lora/peft_settings.ts";

const settingsOf = (settings: unknown) =>
  readPeftSettings({ lora_adapter_metadata: JSON.stringify(settings) }, "lora.safetensors");
const LAYER = "unet.mid_block.attentions.0.proj_in";

Deno.test("peftAlpha() is the rank without settings: the product counts once", () => {
  assert.equal(peftAlpha(readPeftSettings({}, "lora.safetensors"), LAYER, 8), 8);
  assert.equal(peftAlpha(settingsOf({ "unet.r": 8 }), LAYER, 8), 8);
});

Deno.test("peftAlpha() takes the settings of the layer's own part, else those without a part", () => {
  const settings = settingsOf({
    "unet.lora_alpha": 16,
    "text_encoder.lora_alpha": 4,
    lora_alpha: 2,
  });
  assert.equal(peftAlpha(settings, LAYER, 8), 16);
  assert.equal(peftAlpha(settings, "text_encoder.text_model.encoder.layers.0.mlp.fc1", 8), 4);
  assert.equal(peftAlpha(settings, "text_encoder_2.text_model.encoder.layers.0.mlp.fc1", 8), 2);
  assert.equal(peftAlpha(settings, "mid_block.attentions.0.proj_in", 8), 2);
});

Deno.test("peftAlpha() prefers the alpha of a pattern that names the layer", () => {
  const settings = settingsOf({
    "unet.lora_alpha": 16,
    "unet.alpha_pattern": { "attentions.0.proj_in": 3, "attentions.0.proj_out": 5 },
  });
  assert.equal(peftAlpha(settings, LAYER, 8), 3);
  assert.equal(peftAlpha(settings, "unet.mid_block.attentions.0.proj", 8), 16);
});

Deno.test("peftAlpha() divides by the square root of the rank where PEFT did (rsLoRA)", () => {
  const settings = settingsOf({ "unet.lora_alpha": 16, "unet.use_rslora": true });
  assert.equal(peftAlpha(settings, LAYER, 4) / 4, 16 / Math.sqrt(4));
});

Deno.test("readPeftSettings() refuses what is no JSON object", () => {
  for (const text of ["{", "[1]", "3", "null"]) {
    assert.throws(() => readPeftSettings({ lora_adapter_metadata: text }, "a.safetensors"), {
      name: FormatError.name,
      message: /^LoRA "a\.safetensors": metadata "lora_adapter_metadata" must be a JSON object/,
    });
  }
});
