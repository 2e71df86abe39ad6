/**
 * What the single file of a model looks like: the inverse of `single_file.ts`. Every tensor under its name in the file,
 * and the diffusers tensors that it is made of.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import type { VaeConfig } from "../models/config/vae_config.ts";
import { FAMILIES, type Family } from "../models/families.ts";
import type { ParameterShapes } from "../models/parameters.ts";
import type { Shape } from "../tensor/tensor.ts";
import { OPEN_CLIP_PREFIX, openClipKey, openClipSources } from "./keymaps/open_clip.ts";
import { UNET_PREFIX, unetSingleFileKey } from "./keymaps/unet.ts";
import { VAE_PREFIXES, vaeSingleFileKey, vaeSingleFileShape } from "./keymaps/vae.ts";

/** One tensor of a single file. */
export interface SingleFileTensor {
  /** Its key in the file. */
  readonly key: string;
  readonly shape: Shape;
  /** Diffusers keys whose rows, one after another, are its rows. */
  readonly sources: readonly string[];
  /** Whether the file holds the transpose of its one source. */
  readonly isTransposed: boolean;
}

/** @param config decides where up-samplings stand */
export function unetSingleFileLayout(
  config: UNetConfig,
  parameters: ParameterShapes,
): SingleFileTensor[] {
  const toSingleFile = unetSingleFileKey(config);
  return [...parameters].map(([source, shape]) =>
    plain(source, UNET_PREFIX, toSingleFile(source), shape)
  );
}

/** The first text encoder, or the only one. */
export function textSingleFileLayout(
  family: Family,
  parameters: ParameterShapes,
): SingleFileTensor[] {
  const { textPrefix } = FAMILIES[family];
  return [...parameters].map(([source, shape]) => plain(source, textPrefix, source, shape));
}

/** SDXL's second text encoder. */
export function text2SingleFileLayout(parameters: ParameterShapes): SingleFileTensor[] {
  return [...parameters].flatMap(([source, shape]) => {
    const sources = openClipSources(source);
    if (sources[0] !== source) return []; // A row of another one's tensor.
    const [rows = 0, ...others] = shape;
    const isTransposed = source === "text_projection.weight";
    const fileShape = isTransposed ? [...shape].reverse() : [sources.length * rows, ...others];
    const tensor = plain(source, OPEN_CLIP_PREFIX, openClipKey(source), fileShape);
    return [{ ...tensor, sources, isTransposed }];
  });
}

export function vaeSingleFileLayout(
  config: VaeConfig,
  parameters: ParameterShapes,
): SingleFileTensor[] {
  const toSingleFile = vaeSingleFileKey(config.blockOutChannels.length);
  return [...parameters].map(([source, shape]) =>
    plain(source, VAE_PREFIXES[0], toSingleFile(source), vaeSingleFileShape(source, shape))
  );
}

function plain(
  source: string,
  prefix: string,
  name: string | undefined,
  shape: Shape,
): SingleFileTensor {
  if (name === undefined) throw new FormatError(`Tensor "${source}" has no name in single files`);
  return { key: `${prefix}${name}`, shape, sources: [source], isTransposed: false };
}
