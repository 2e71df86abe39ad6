/** VAEs that are none of those that SD1.5's and SDXL's latents are made with, by their keys and shapes. @module */

import type { Shape } from "../tensor/tensor.ts";
import { VAE_PREFIXES } from "./keymaps/vae.ts";

type Shapes = ReadonlyMap<string, { readonly shape: Shape }>;

const TINY = /^(taesd_)?(encoder|decoder)\.(layers\.)?\d+\./;
const LATENT_CHANNELS = 4;

/** @returns what the file is, or `undefined` for a VAE that may be one of ours, or no VAE */
export function vaeRelative(shapes: Shapes): string | undefined {
  const bare = new Map(shapes.entries().map(([key, entry]) => [withoutPrefix(key), entry.shape]));
  const has = (pattern: RegExp) => bare.keys().some((key) => pattern.test(key));
  if (has(TINY)) return "a tiny VAE (TAESD), which other tools draw previews with";
  const convIn = bare.get("decoder.conv_in.weight") ?? bare.get("decoder.conv1.weight");
  if (convIn?.length === 5) return "a VAE of videos";
  const channels = convIn?.[1] ?? LATENT_CHANNELS;
  if (channels !== LATENT_CHANNELS) {
    const like = channels === 16 ? ", as FLUX and Stable Diffusion 3 have" : "";
    return `a VAE of ${channels} latent channels${like}`;
  }
  const [encodes, decodes] = [has(/^encoder\./), has(/^decoder\./)];
  if (encodes !== decodes) return `the ${decodes ? "decoder" : "encoder"} of a VAE alone`;
  return undefined;
}

function withoutPrefix(key: string): string {
  const prefix = VAE_PREFIXES.find((each) => key.startsWith(each)) ?? "";
  return key.slice(prefix.length);
}
