/** Which samplers go along the reverse SDE of the training's noise, with all of its noise and one evaluation a step. @module */

import { findSampler } from "./find_sampler.ts";
import { SAMPLERS } from "./sampler_table.ts";

/** @param eta @default the sampler's own */
export function isReverseSde(
  { name, eta }: { readonly name: string; readonly eta?: number | undefined },
): boolean {
  const { followsReverseSde = false, eta: own = 1 } = findSampler(name);
  return followsReverseSde && (eta ?? own) === 1;
}

/** As users type them: those that add less noise by themselves with the flag that adds all. */
export function reverseSdeNames(): string[] {
  return SAMPLERS.filter(({ followsReverseSde }) => followsReverseSde).map(({ name, eta = 1 }) =>
    eta === 1 ? name : `${name} with --eta 1`
  );
}
