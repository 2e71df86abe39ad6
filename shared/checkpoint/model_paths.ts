/** Where a model lies. @module */

import { inputPaths } from "../merging/input_paths.ts";
import type { ModelSource } from "./checkpoint.ts";

/** Its folder or file; of a merge those of all models that are merged. */
export function modelPaths(source: ModelSource): readonly string[] {
  return typeof source === "string" ? [source] : inputPaths(source.merge);
}
