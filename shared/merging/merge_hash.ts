/**
 * Who a merge is, on every machine, without computing it: a hash of all that its bits follow from. Those are the inputs'
 * hashes, the numbers that each method gets for each block, and what the result is rounded to; not how a recipe spells
 * the numbers, nor what files are called.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { modelHash } from "../checkpoint/model_hash.ts";
import type { FloatDType } from "../tensor/float64.ts";
import { BASE, mergeBlocks } from "./block_of_key.ts";
import type { MergedModel } from "./merged_model.ts";
import type { MergeModel } from "./model.ts";
import type { StoredMerge } from "./merged_file.ts";
import { type OpenMerge, openMerge } from "./recipe.ts";

/** To be raised when a method computes other bits of the same numbers. */
const VERSION = 1;

/** SHA-256, hex. Reads the inputs whole unless their hashes are known. */
export async function mergeHash(
  { model, inputs }: OpenMerge,
  dtype: FloatDType | undefined,
): Promise<string> {
  const known = new Map<MergeModel, string>();
  for (const input of inputs.values()) known.set(input, await modelHash(input.paths));
  return digest("result", dtype ?? "widest", hashOf(model, known));
}

/** The same, of a merge that is opened for it. */
export async function hashOfMerge(stored: StoredMerge): Promise<string> {
  using opened = await openMerge(stored.merge);
  return await mergeHash(opened, stored.dtype);
}

/** @param known grows: a result that is used twice is hashed once */
function hashOf(model: MergeModel, known: Map<MergeModel, string>): string {
  const own = known.get(model);
  if (own !== undefined) return own;
  // What is no input is a merge.
  const merge = model as MergedModel;
  const numbers = [BASE, ...mergeBlocks(merge.family)].map((block) => merge.numbersOf(block));
  const models = merge.models.map((each) => hashOf(each, known));
  const hash = digest(merge.methodName, numbers, models);
  known.set(model, hash);
  return hash;
}

function digest(...facts: readonly unknown[]): string {
  return createHash("sha256").update(JSON.stringify(["tutti merge", VERSION, ...facts]))
    .digest("hex");
}
