/**
 * Two SDXL models with random weights, narrow and shallow: two text encoders, size conditioning, nine blocks on the way down
 * and nine up. The weights themselves are compared, too, for they follow from the seed.
 *
 * @module
 */

import { join } from "node:path";
import type { TuttiHome } from "../../support/run_tutti.ts";
import { zooPath } from "../../support/zoo.ts";
import { readTensors } from "../outcome.ts";
import type { Scenario } from "../scenario.ts";
import { writeEnsemble } from "./ensemble_file.ts";
import { drawPicture } from "./one_picture.ts";
import { fewSteps } from "./ddim_flags.ts";

const WEIGHTS = "unet/diffusion_pytorch_model.safetensors";

export const SDXL: Scenario = {
  name: "sdxl",
  what: "two SDXL models of reduced width and depth with random weights",
  play: async ({ home }) => {
    const size = ["--scale", "0.03", "--depth", "1", "--dtype", "f32", "--layout", "diffusers"];
    for (const seed of ["1", "2"]) {
      const args = ["zoo", "random", "--family", "sdxl", ...size, "--seed", seed, `model-${seed}`];
      await home.expect(0, args);
    }
    const [one, two] = [home.file("model-1"), home.file("model-2")];
    const ensemble = await writeEnsemble(home, {
      experts: { one, two },
      vae: join(one, "vae"),
      tokenizer: await writeTokenizer(home),
    });
    const flags = [...await fewSteps(home), "--ensemble", ensemble, "--size", "128"];
    return { ...await drawPicture(home, flags), weights: await readTensors(join(one, WEIGHTS)) };
  },
};

/** Writes the bundled tokenizer with the numbers that CLIP's own has for the first and the last token of a text. */
async function writeTokenizer(home: TuttiHome): Promise<string> {
  const folder = home.file("tokenizer");
  await Deno.mkdir(folder);
  for (const name of ["merges.txt", "tokenizer_config.json"]) {
    await Deno.copyFile(zooPath("tokenizer", name), join(folder, name));
  }
  const text = await Deno.readTextFile(zooPath("tokenizer", "vocab.json"));
  const vocabulary = JSON.parse(text) as Record<string, number>;
  vocabulary["<|startoftext|>"] = 49406;
  vocabulary["<|endoftext|>"] = 49407;
  await Deno.writeTextFile(join(folder, "vocab.json"), JSON.stringify(vocabulary));
  return folder;
}
