/**
 * Whether a VAE belongs to the experts' family. The shapes do not tell: SD1.5's and SDXL's are alike, but their latents are
 * scaled by other factors, and with the wrong one every image is grey or burnt.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { VaeConfig } from "../models/config/vae_config.ts";
import type { Part } from "./checkpoint.ts";
import type { Family } from "./family.ts";
import { SD15_VAE, SDXL_VAE } from "./known_configs.ts";

export interface VaePart extends Part<VaeConfig> {
  /** Of the checkpoint that the VAE was found in; a VAE on its own has none. */
  readonly family?: Family;
  /** Nothing beside the weights said what the config is. */
  readonly isConfigAssumed?: boolean;
}

const NAMES: Readonly<Record<Family, string>> = { sd15: "SD1.5", sdxl: "SDXL" };
/** Published scaling factors. */
const FACTORS: Readonly<Record<Family, number>> = {
  sd15: SD15_VAE.scalingFactor,
  sdxl: SDXL_VAE.scalingFactor,
};

/**
 * @returns the part for experts of `family`: a VAE that says nothing of itself gets that family's scaling factor
 * @throws {FormatError} if the VAE is known to be another family's
 */
export function vaeForFamily(part: VaePart, family: Family, path: string): Part<VaeConfig> {
  const { config, weights, isConfigAssumed } = part;
  if (part.family === undefined && isConfigAssumed) {
    return { weights, config: { ...config, scalingFactor: FACTORS[family] } };
  }
  const published = (Object.keys(FACTORS) as Family[]).find((f) =>
    FACTORS[f] === config.scalingFactor
  );
  const owner = part.family ?? published;
  if (owner !== undefined && owner !== family) {
    throw new FormatError(
      `VAE "${path}" must be of the experts' family ${NAMES[family]}: this is one of ${
        NAMES[owner]
      } ` +
        `(scaling factor ${config.scalingFactor})`,
    );
  }
  return { weights, config };
}
