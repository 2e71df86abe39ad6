/** Which models a merge is made of. @module */

import type { Merge } from "./recipe.ts";

/** Paths of all models below a merge, each once; the first model's comes first. */
export function inputPaths({ models }: Merge, known = new Set<Merge>()): readonly string[] {
  const paths = models.flatMap((model) => {
    if (typeof model === "string") return [model];
    if (known.has(model)) return [];
    known.add(model);
    return inputPaths(model, known);
  });
  return [...new Set(paths)];
}
