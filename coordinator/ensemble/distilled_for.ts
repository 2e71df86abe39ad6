/** The sampler that an ensemble's experts were distilled for. @module */

import { type DistilledSampler, isSaid } from "../../shared/checkpoint/own_schedule.ts";
import type { Ensemble } from "./ensemble.ts";

/** @returns `undefined` unless all were distilled for the same one */
export function distilledFor({ members }: Pick<Ensemble, "members">): DistilledSampler | undefined {
  const [first, ...others] = members.map(({ expert: { description: { ownSchedule } } }) =>
    isSaid(ownSchedule) ? ownSchedule.madeFor : undefined
  );
  return others.every((other) => other === first) ? first : undefined;
}
