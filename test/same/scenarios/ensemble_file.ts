/** Writes an ensemble file: models by name, with the bundled VAE and tokenizer unless it says otherwise. @module */

import type { TuttiHome } from "../../support/run_tutti.ts";
import { zooPath } from "../../support/zoo.ts";

export interface EnsembleParts {
  /** Paths of models by the experts' names, in their order. */
  readonly experts: Readonly<Record<string, string>>;
  readonly vae?: string;
  readonly tokenizer?: string;
}

/** @returns its path for `--ensemble` */
export async function writeEnsemble(
  home: TuttiHome,
  { experts, vae = zooPath("vae"), tokenizer = zooPath("tokenizer") }: EnsembleParts,
): Promise<string> {
  const tables = Object.entries(experts).map(([name, model]) =>
    `[[experts]]\nname = "${name}"\nmodel = "${model}"\n`
  );
  const shared = `vae = "${vae}"\ntokenizer = "${tokenizer}"\n`;
  const path = home.file("ensemble.toml");
  await Deno.writeTextFile(path, `name = "pair"\n${shared}${tables.join("")}`);
  return path;
}

/** Two of the bundled experts. */
export const PAIR: EnsembleParts = {
  experts: { round: zooPath("round"), square: zooPath("square") },
};
