/**
 * The strength of a LoRA that PEFT trained: diffusers writes PEFT's settings as JSON into the file's metadata
 * (`lora_adapter_metadata`; keys such as `unet.lora_alpha`) instead of one alpha tensor per layer.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import { show } from "../../show.ts";

/** Setting -> value, as the file has it. */
export type PeftSettings = Readonly<Record<string, unknown>>;

const METADATA_KEY = "lora_adapter_metadata";

/** @throws {FormatError} if there are settings that cannot be read */
export function readPeftSettings(
  metadata: Readonly<Record<string, string>>,
  path: string,
): PeftSettings {
  const text = Object.hasOwn(metadata, METADATA_KEY) ? metadata[METADATA_KEY] : undefined;
  if (text === undefined) return {};
  try {
    const settings: unknown = JSON.parse(text);
    if (isRecord(settings)) return settings;
  } catch {
    // Said below, as for JSON of another kind.
  }
  throw new FormatError(
    `LoRA ${show(path)}: metadata "${METADATA_KEY}" must be a JSON object: current value is ${
      show(text)
    }`,
  );
}

/**
 * Alpha of a layer without an alpha tensor: that of the settings, else the rank, so that `alpha / rank` is 1. With
 * rank-stabilised scaling (`use_rslora`) PEFT divides by the square root of the rank.
 *
 * @param layer a path with dots: `unet.mid_block.attentions.0.proj_in`
 */
export function peftAlpha(settings: PeftSettings, layer: string, rank: number): number {
  const part = /^(unet|text_encoder|text_encoder_2)\./.exec(layer)?.[0] ?? "";
  const setting = (name: string) => settings[part + name] ?? settings[name];
  const patterns = setting("alpha_pattern");
  const [, own] =
    Object.entries(isRecord(patterns) ? patterns : {}).find(([suffix]) =>
      layer === suffix || layer.endsWith(`.${suffix}`)
    ) ?? [];
  const alpha = [own, setting("lora_alpha")].find((value) =>
    typeof value === "number" && Number.isFinite(value)
  ) as number | undefined;
  if (alpha === undefined) return rank;
  return setting("use_rslora") === true ? alpha * Math.sqrt(rank) : alpha;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
