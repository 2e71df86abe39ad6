/** The ensembles that a server draws with: what clients of other tools call checkpoints. @module */

import { TuttiError, UsageError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { didYouMean } from "../../../shared/terminal/did_you_mean.ts";
import type { Ensemble } from "../../ensemble/ensemble.ts";
import type { EnsemblePlan } from "../../ensemble/ensemble_plan.ts";

export interface ServedEnsemble extends Pick<EnsemblePlan, "defaults"> {
  readonly ensemble: Ensemble;
}

export class ServedEnsembles {
  readonly #all: readonly ServedEnsemble[];

  /** @param all at least one; the first is drawn with where nobody names one */
  constructor(all: readonly ServedEnsemble[]) {
    this.#all = all;
    refuseTwins(all.map(({ ensemble: { name } }) => name));
  }

  get all(): readonly ServedEnsemble[] {
    return this.#all;
  }

  get first(): ServedEnsemble {
    return this.#all[0]!;
  }

  find(name: string): ServedEnsemble | undefined {
    return this.#all.find(({ ensemble }) => ensemble.name === name);
  }

  /** @throws {TuttiError} NOT_FOUND with the names that there are */
  get(name: string): ServedEnsemble {
    const found = this.find(name);
    if (found) return found;
    const names = this.#all.map(({ ensemble }) => ensemble.name);
    throw new TuttiError(
      "NOT_FOUND",
      `There is no ensemble ${show(name)}${didYouMean(name, names)}: served are ${
        names.join(", ")
      }`,
      { details: { field: "ensemble" } },
    );
  }
}

/** @throws {UsageError} if two ensembles have the same name: clients could not tell them apart */
export function refuseTwins(names: readonly string[]): void {
  const twin = names.find((name, i) => names.indexOf(name) < i);
  if (twin === undefined) return;
  throw new UsageError(
    `Ensembles that are served together must have different names: ${show(twin)} comes twice. ` +
      'Change "name" in one of the files',
  );
}
