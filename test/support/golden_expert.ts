/**
 * The small experts that the reference numbers in `test/goldens/sd15` were computed with.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { type LocalExpert, openLocalExpert } from "../../shared/engine/local_expert.ts";

/** Path of the diffusers folder of an expert. */
export function goldenExpert(letter: "a" | "b"): string {
  return fileURLToPath(new URL(`../goldens/sd15/expert-${letter}`, import.meta.url));
}

/** The expert in this process. The caller closes it. */
export function openGoldenExpert(letter: "a" | "b" = "a", lanes = 1): Promise<LocalExpert> {
  return openLocalExpert({ model: goldenExpert(letter), device: "cpu", lanes, threads: 1 });
}
