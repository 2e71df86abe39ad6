/**
 * Which family of models a single file holds, by the keys that only that family has (`docs/spec.md`, "Single files"), and
 * a clear refusal for those that Tutti does not run.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import { FAMILIES, type Family } from "../models/families.ts";
import { UNET_PREFIX } from "./keymaps/unet.ts";
import {
  editingModel,
  type KeyShapes,
  REFINER_NAME,
  relativeOfKeys,
  SD2_NAME,
  strangerOfKeys,
} from "./relatives.ts";

const SD15_MARK = `${UNET_PREFIX}output_blocks.11.0.skip_connection.weight`;
const SD2_CONTEXT_WIDTH = 1024;
const REFINER_CONTEXT_WIDTH = 1280;
const SDXL_MARKS = [
  "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias",
  `${UNET_PREFIX}label_emb.0.0.weight`,
];

/**
 * @param shapes key -> shape of a single file
 * @throws {FormatError} naming what the file is, if it is none of ours
 */
export function detectFamily(shapes: KeyShapes, path: string): Family {
  const relative = relativeOfKeys(shapes);
  if (relative !== undefined) throw notSupported(path, relative);
  if (SDXL_MARKS.some((key) => shapes.has(key))) return "sdxl";
  if (shapes.has(SD15_MARK)) return "sd15";
  throw notSupported(path, strangerOfKeys(shapes) ?? "no model that its keys tell");
}

/**
 * The family of a diffusers folder's U-Net: SDXL is the one with size conditioning.
 *
 * @throws {FormatError} naming what the model is, if it is none of ours
 */
export function familyOfConfig(
  { inChannels, crossAttentionDim, addition }: UNetConfig,
  path: string,
): Family {
  const editing = editingModel(inChannels);
  if (editing) throw notSupported(path, editing);
  if (addition && crossAttentionDim === REFINER_CONTEXT_WIDTH) {
    throw notSupported(path, REFINER_NAME);
  }
  if (addition) return "sdxl";
  if (crossAttentionDim === SD2_CONTEXT_WIDTH) throw notSupported(path, SD2_NAME);
  return "sd15";
}

/** The error for a model that Tutti does not run. */
export function notSupported(path: string, what: string): FormatError {
  const ours = Object.values(FAMILIES).map(({ name }) => name).join(" and ");
  return new FormatError(
    `Checkpoint "${path}" is not supported: this is ${what}; Tutti runs ${ours} U-Nets`,
  );
}
