/** Draws one picture and reads it with its final latents. @module */

import { LONG_LIVED_MS, type TuttiProcess } from "../../support/run_tutti.ts";
import type { TuttiHome } from "../../support/run_tutti.ts";
import { PROMPT } from "../../support/zoo.ts";
import { type Outcome, readPixels, readTensors } from "../outcome.ts";

const FILES = ["--out", "picture.png", "--save-latents", "latents.safetensors"];

/** Draws to the end. */
export async function drawPicture(home: TuttiHome, flags: readonly string[]): Promise<Outcome> {
  await home.expect(0, ["sample", PROMPT, ...flags, ...FILES], { timeoutMs: LONG_LIVED_MS });
  return await readPicture(home);
}

/** Begins to draw, for a scenario that interferes. */
export function startPicture(home: TuttiHome, flags: readonly string[]): TuttiProcess {
  return home.start(["sample", PROMPT, ...flags, ...FILES], { timeoutMs: LONG_LIVED_MS });
}

/** Reads what one of the two has drawn. */
export async function readPicture(home: TuttiHome): Promise<Outcome> {
  return {
    pixels: await readPixels([home.file("picture.png")]),
    latents: await readTensors(home.file("latents.safetensors")),
  };
}
