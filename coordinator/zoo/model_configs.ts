/**
 * The configs of a family's published model, or of the same architecture with other widths and depths: what
 * `tutti zoo random` writes weights for.
 *
 * @module
 */

import { SDXL_TEXT_2 } from "../../shared/models/config/known_configs.ts";
import { UsageError } from "../../shared/errors.ts";
import type { ClipTextConfig } from "../../shared/models/config/clip_config.ts";
import type { UNetConfig } from "../../shared/models/config/unet_config.ts";
import type { VaeConfig } from "../../shared/models/config/vae_config.ts";
import { FAMILIES, type Family, type FamilyConfigs } from "../../shared/models/families.ts";

export interface ModelConfigs extends FamilyConfigs {
  readonly family: Family;
}

export interface ModelSize {
  /** Factor on the channels and text widths of the published model. */
  readonly scale?: number;
  /** Most transformer blocks in one attention, and most layers of one text encoder. */
  readonly depth?: number;
}

/** Widths are multiples of this, so that groups and heads divide them. */
const WIDTH_STEP = 8;

/** Whether a single file of this size needs `config.json`s beside it. */
export function isPublishedSize({ scale = 1, depth }: ModelSize): boolean {
  return scale === 1 && depth === undefined;
}

/** @throws {UsageError} if the scale or the depth is out of range */
export function modelConfigs(family: Family, size: ModelSize = {}): ModelConfigs {
  const { scale = 1, depth = Infinity } = size;
  if (!(scale > 0 && scale <= 1)) {
    throw new UsageError(`scale must be above 0 and at most 1: current value is ${scale}`);
  }
  if (!(depth >= 1)) throw new UsageError(`depth must be at least 1: current value is ${depth}`);
  const { unet, text, text2, vae } = FAMILIES[family].configs;
  const scaledText = scaleText(text, scale, depth);
  const scaledText2 = text2 && scaleText(text2, scale, depth);
  return {
    family,
    unet: scaleUNet(unet, scale, depth, scaledText, scaledText2),
    text: scaledText,
    ...(scaledText2 && { text2: scaledText2 }),
    vae: scaleVae(vae, scale),
  };
}

function scaleUNet(
  unet: UNetConfig,
  scale: number,
  depth: number,
  text: ClipTextConfig,
  text2: ClipTextConfig | undefined,
): UNetConfig {
  const blockOutChannels = unet.blockOutChannels.map((channels) => scaleWidth(channels, scale));
  const { addition } = unet;
  return {
    ...unet,
    blockOutChannels,
    crossAttentionDim: text.hiddenSize + (text2?.hiddenSize ?? 0),
    numHeads: unet.numHeads.map((heads, level) => dividing(blockOutChannels[level]!, heads)),
    transformerLayers: unet.transformerLayers.map((layers) => Math.min(layers, depth)),
    normNumGroups: commonGroups(blockOutChannels, unet.normNumGroups),
    ...(addition && text2 && {
      // The pooled text, then the sinusoids of the sizes: as many as in the published model.
      addition: {
        ...addition,
        inputDim: addition.inputDim - SDXL_TEXT_2.projectionDim! + text2.projectionDim!,
      },
    }),
  };
}

function scaleText(text: ClipTextConfig, scale: number, depth: number): ClipTextConfig {
  const { projectionDim } = text;
  const hiddenSize = scaleWidth(text.hiddenSize, scale);
  return {
    ...text,
    hiddenSize,
    intermediateSize: scaleWidth(text.intermediateSize, scale),
    numLayers: Math.min(text.numLayers, depth),
    numHeads: dividing(hiddenSize, text.numHeads),
    ...(projectionDim !== undefined && { projectionDim: scaleWidth(projectionDim, scale) }),
  };
}

function scaleVae(vae: VaeConfig, scale: number): VaeConfig {
  const blockOutChannels = vae.blockOutChannels.map((channels) => scaleWidth(channels, scale));
  return {
    ...vae,
    blockOutChannels,
    normNumGroups: commonGroups(blockOutChannels, vae.normNumGroups),
  };
}

function scaleWidth(width: number, scale: number): number {
  return WIDTH_STEP * Math.max(1, Math.round(width * scale / WIDTH_STEP));
}

/** The largest number up to `limit` that divides `width`. */
function dividing(width: number, limit: number): number {
  let divisor = limit;
  while (width % divisor !== 0) divisor--;
  return divisor;
}

/** The largest number up to `limit` that divides all widths. */
function commonGroups(widths: readonly number[], limit: number): number {
  let groups = limit;
  while (widths.some((width) => width % groups !== 0)) groups--;
  return groups;
}
