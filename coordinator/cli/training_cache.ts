/** Where commands that train keep what they computed of images and texts. @module */

import { join } from "node:path";
import { UsageError } from "../../shared/errors.ts";
import { cacheFolder } from "../../shared/checkpoint/model_hash.ts";

/** @throws {UsageError} where the environment does not even name a home */
export function trainingCache(): string {
  const hashes = cacheFolder();
  if (hashes !== undefined) return join(hashes, "..", "training");
  throw new UsageError("--cache must name a folder: the environment has no HOME");
}
