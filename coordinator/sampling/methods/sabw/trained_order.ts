/** Whether an ensemble has the experts that SABW was trained with, and where. @module */

import type { Expert, ExpertDescription } from "../../../../shared/engine/expert.ts";
import { FormatError } from "../../../../shared/errors.ts";
import type { SabwMetadata, TrainedExpert } from "./sabw_metadata.ts";

/** An expert of the ensemble, as far as it tells who it is. */
export type Candidate =
  & { readonly name: string }
  & Pick<ExpertDescription, "modelHash" | "baseHashes">
  & Pick<Expert, "weightsHashes">;

export interface TrainedOrder {
  /** An index into the ensemble's experts per trained expert. */
  readonly order: readonly number[];
  readonly warnings: readonly string[];
}

/**
 * Where in the ensemble each trained expert is: the order of SABW's inputs is that of training, whatever the order of
 * the ensemble's file. The same files count first, then the same weights in other files (which are only then hashed), then
 * the model with LoRAs or in a merge, which is taken with a warning.
 *
 * @throws {FormatError} naming the first expert that SABW was trained with and that is not there
 */
export async function trainedOrder(
  folder: string,
  { experts: trained }: SabwMetadata,
  experts: readonly Candidate[],
): Promise<TrainedOrder> {
  const left = new Set(experts.keys());
  const order: (number | undefined)[] = trained.map(() => undefined);
  const warnings: string[] = [];
  const take = (fits: (i: number, wanted: TrainedExpert) => boolean): [number, TrainedExpert][] =>
    trained.flatMap((wanted, k) => {
      const i = order[k] === undefined ? [...left].find((i) => fits(i, wanted)) : undefined;
      if (i === undefined) return [];
      order[k] = i;
      left.delete(i);
      return [[i, wanted]];
    });
  const missing = () => trained.filter((_, k) => order[k] === undefined);

  take((i, { modelHash }) => experts[i]!.modelHash === modelHash);
  const hashes = missing().some(({ weightsHash }) => weightsHash !== undefined)
    ? await hashesOf(left, experts)
    : undefined;
  take((i, { weightsHash }) =>
    weightsHash !== undefined && hashes?.get(i)?.weightsHash === weightsHash
  );
  const changed = take((i, { modelHash, weightsHash }) =>
    experts[i]!.baseHashes?.includes(modelHash) === true ||
    (weightsHash !== undefined && hashes?.get(i)?.baseWeightsHash === weightsHash)
  );
  for (const [i, { name }] of changed) {
    warnings.push(
      `SABW "${folder}" was trained with "${name}" as it is in its files: ` +
        `"${experts[i]!.name}" has LoRAs or is a merge of it`,
    );
  }
  if (missing().length === 0 && left.size === 0) {
    return { order: order.map((i) => i!), warnings };
  }
  const needed = missing().length > 0 ? missing() : trained;
  throw new FormatError(
    `SABW "${folder}" was trained with other experts: it needs ${spell(needed)}, the ensemble has ${
      spell([...left].map((i) => experts[i]!))
    } instead; --force takes it in spite of that`,
    { details: { sabw: folder } },
  );
}

async function hashesOf(which: ReadonlySet<number>, experts: readonly Candidate[]) {
  const entries = [...which].map(async (i) => [i, await experts[i]!.weightsHashes?.()] as const);
  return new Map(await Promise.all(entries));
}

function spell(those: readonly Pick<TrainedExpert, "name" | "modelHash">[]): string {
  return those.map(({ name, modelHash }) => `"${name}" (${modelHash.slice(0, 10)})`).join(", ");
}
