/** Options that `tutti train`, `screen` and `compare` share: what is drawn from the data, and where it is kept. @module */

import { Option } from "commander";
import { seed, wholeNumber } from "./flags.ts";

export interface DataFlags {
  readonly data: string;
  readonly seed: bigint;
  /** Pixels of height and width. */
  readonly size?: number;
  readonly latents?: "sample" | "mean";
  readonly cache?: string;
}

export function seedOption(): Option {
  // Told as text: help cannot print a bigint by itself.
  return new Option("--seed <n>", "seed of everything that is random")
    .argParser(seed("--seed")).default(0n, "0");
}

export function trainingSizeOption(): Option {
  return new Option("--size <pixels>", "height and width (default: the experts' own)")
    .argParser(wholeNumber("--size"));
}

export function latentsOption(): Option {
  return new Option(
    "--latents <which>",
    "samples of the VAE's distributions, as the paper, or their means (default: samples, unless the VAE's are mostly noise)",
  ).choices(["sample", "mean"]);
}

export function cacheOption(): Option {
  return new Option(
    "--cache <folder>",
    "where latents and text states are kept (default: the user's cache)",
  );
}
