/** What a zoo's folder holds besides trained models, so that `sample --ensemble` takes it. @module */

import { join } from "node:path";
import { writeWholeFile } from "../../../shared/whole_file.ts";
import { copyInto } from "./copy_folder.ts";
import { BUNDLED_ZOO, EXPERT_SHAPES } from "./recipe.ts";

/** Tokenizer and scheduler are those that come with Tutti. */
export async function writeSharedFiles(out: string): Promise<void> {
  for (const name of ["tokenizer", "scheduler"]) {
    await copyInto(join(BUNDLED_ZOO, name), join(out, name));
  }
}

/** @returns the file's path */
export async function writeEnsembleFile(out: string, sabw: "uniform" | "sabw"): Promise<string> {
  const experts = Object.keys(EXPERT_SHAPES).map((name) =>
    `[[experts]]\nname = "${name}"\nmodel = "${name}"\n`
  );
  const shared = [
    `name = "shapes"`,
    `sabw = "${sabw}"`,
    `vae = "vae"`,
    `tokenizer = "tokenizer"`,
    `scheduler = "scheduler/scheduler_config.json"`,
  ];
  const path = join(out, "ensemble.toml");
  await writeWholeFile(path, `${shared.join("\n")}\n\n${experts.join("\n")}`);
  return path;
}
