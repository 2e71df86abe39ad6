/** Ensembles as stable-diffusion-webui's users see them: checkpoints with a title and a hash. @module */

import { createHash } from "node:crypto";
import { TuttiError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import type { ServedEnsemble, ServedEnsembles } from "../runtime/served_ensembles.ts";

export interface Checkpoint {
  readonly title: string;
  readonly name: string;
  /** Hex, over all that the ensemble's pictures follow from. */
  readonly sha256: string;
  /** The first ten digits. */
  readonly hash: string;
}

export function checkpointOf({ ensemble }: ServedEnsemble): Checkpoint {
  const { name, experts, sabw, vaeHash } = ensemble;
  const parts = [...experts.map(({ description }) => description.modelHash), sabw?.hash, vaeHash];
  const sha256 = createHash("sha256").update(JSON.stringify(parts)).digest("hex");
  const hash = sha256.slice(0, 10);
  return { title: `${name} [${hash}]`, name, sha256, hash };
}

/**
 * By title, name or hash.
 *
 * @throws {TuttiError} NOT_FOUND with the titles that there are
 */
export function findCheckpoint(ensembles: ServedEnsembles, wanted: string): ServedEnsemble {
  const plain = wanted.trim().replace(/ \[[0-9a-f]+\]$/, "");
  const found = ensembles.all.find((served) => {
    const { title, name, sha256, hash } = checkpointOf(served);
    return [title, sha256, hash].includes(wanted) || name === plain;
  });
  if (found) return found;
  const titles = ensembles.all.map((served) => checkpointOf(served).title).join(", ");
  throw new TuttiError("NOT_FOUND", `Model ${show(wanted)} not found: there are ${titles}`);
}
