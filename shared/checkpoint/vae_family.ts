/**
 * Whether a VAE belongs to the experts' family. The shapes do not tell: SD1.5's and SDXL's are alike, but their latents are
 * scaled by other factors, and with the wrong one every image is grey or burnt.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { VaeConfig } from "../models/config/vae_config.ts";
import { FAMILIES, type Family, FAMILY_IDS } from "../models/families.ts";
import type { Part } from "./checkpoint.ts";

export interface VaePart extends Part<VaeConfig> {
  /** Of the checkpoint that the VAE was found in; a VAE on its own has none. */
  readonly family?: Family;
  /** Nothing beside the weights said what the config is. */
  readonly isConfigAssumed?: boolean;
}

/** As published. */
const scalingFactorOf = (family: Family): number => FAMILIES[family].configs.vae.scalingFactor;

/**
 * @returns the part for experts of `family`: a VAE that says nothing of itself gets that family's scaling factor
 * @throws {FormatError} if the VAE is known to be another family's
 */
export function vaeForFamily(part: VaePart, family: Family, path: string): Part<VaeConfig> {
  const { config, weights, isConfigAssumed } = part;
  if (part.family === undefined && isConfigAssumed) {
    return { weights, config: { ...config, scalingFactor: scalingFactorOf(family) } };
  }
  const published = FAMILY_IDS.find((id) => scalingFactorOf(id) === config.scalingFactor);
  const owner = part.family ?? published;
  if (owner !== undefined && owner !== family) {
    throw new FormatError(
      `VAE "${path}" must be of the experts' family ${FAMILIES[family].name}: ` +
        `this is one of ${FAMILIES[owner].name} (scaling factor ${config.scalingFactor})`,
    );
  }
  return { weights, config };
}
