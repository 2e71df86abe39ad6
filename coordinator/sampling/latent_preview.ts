/** What a picture looks like before it is finished, as far as that costs little. @module */

import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { imagesToRgb } from "../image/pixels.ts";
import type { RgbImage } from "../image/resize.ts";
import type { Vae } from "./vae.ts";

/** Red, green and blue in -1..1 as a weighted sum of a latent pixel's channels, by channel. */
type LatentColours = readonly (readonly [number, number, number])[];

/**
 * The published approximations of Stable Diffusion's latents, as ComfyUI has them (`latent_formats.py`); by the VAE's scaling
 * factor, which tells SD1.5's from SDXL's.
 */
const KNOWN: ReadonlyMap<number, LatentColours> = new Map([
  [0.18215, [
    [0.3512, 0.2297, 0.3227],
    [0.325, 0.4974, 0.235],
    [-0.2829, 0.1762, 0.2721],
    [-0.212, -0.2616, -0.7177],
  ]],
  [0.13025, [
    [0.392, 0.4054, 0.4549],
    [-0.2634, -0.0196, 0.0653],
    [0.0568, 0.1687, -0.0755],
    [-0.3112, -0.2359, -0.2076],
  ]],
]);

/** Of the published VAEs, whose decoder takes seconds on a processor. */
const PUBLISHED_WIDTH = 128;

/**
 * @param latents estimate of the clean ones, f32 `[B, 4, h, w]`, as the U-Net has them
 * @returns one picture each: of `h x w` pixels by Stable Diffusion's VAEs, decoded by others, which are small
 */
export async function latentPreview(vae: Vae, latents: F32Tensor): Promise<RgbImage[]> {
  const { scalingFactor, blockOutChannels: [width] } = vae.config;
  const colours = KNOWN.get(scalingFactor);
  if (colours && width === PUBLISHED_WIDTH) return linearPreview(colours, latents);
  return imagesToRgb(await vae.decode(latents));
}

export function linearPreview(colours: LatentColours, { shape, data }: F32Tensor): RgbImage[] {
  const [batch = 0, channels = 0, height = 0, width = 0] = shape;
  const pixels = height * width;
  return Array.from({ length: batch }, (_, image) => {
    // Stores to this array clamp to 0..255.
    const rgb = new Uint8ClampedArray(pixels * 3);
    for (let at = 0; at < pixels; at++) {
      for (let colour = 0; colour < 3; colour++) {
        let value = 0;
        for (let c = 0; c < channels; c++) {
          value += colours[c]![colour]! * data[(image * channels + c) * pixels + at]!;
        }
        rgb[3 * at + colour] = (value / 2 + 0.5) * 255;
      }
    }
    return { width, height, rgb: new Uint8Array(rgb.buffer) };
  });
}
