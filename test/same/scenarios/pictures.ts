/** Pictures of the bundled experts: what differs is flags of `tutti sample`. @module */

import { LONG_LIVED_MS } from "../../support/run_tutti.ts";
import { PROMPT } from "../../support/zoo.ts";
import { type Outcome, readPixels, readTensors } from "../outcome.ts";
import type { Scenario, Stage } from "../scenario.ts";
import { fewSteps } from "./ddim_flags.ts";

const TABLE: readonly { readonly name: string; readonly what: string; readonly flags: string }[] = [
  { name: "default", what: "one picture with no flags but steps and seed", flags: "" },
  { name: "batch", what: "three pictures at once", flags: "--batch 3" },
  { name: "waves", what: "the parts of a step travel as two waves", flags: "--batch 2 --waves 2" },
  { name: "tcp", what: "feature maps travel over TCP", flags: "--plane tcp" },
];

export const PICTURES: readonly Scenario[] = TABLE.map(({ name, what, flags }) => ({
  name,
  what,
  play: (stage) => draw(stage, flags.split(" ").filter(Boolean)),
}));

/** Draws the picture that the bundled experts know, and reads its pixels, final latents and attention maps. */
async function draw({ home }: Stage, flags: readonly string[]): Promise<Outcome> {
  const files = ["--save-latents", "latents.safetensors", "--save-maps", "maps.safetensors"];
  const [result] = await home.json<{ readonly images: readonly { readonly path: string }[] }>(
    ["sample", PROMPT, ...await fewSteps(home), ...files, ...flags],
    { timeoutMs: LONG_LIVED_MS },
  );
  return {
    pixels: await readPixels(result!.images.map(({ path }) => home.file(path))),
    latents: await readTensors(home.file("latents.safetensors")),
    maps: await readTensors(home.file("maps.safetensors")),
  };
}
