/** A row of block weights as the merge that it stands for. @module */

import { BASE, mergeBlocks } from "../../shared/merging/block_of_key.ts";
import { parseBlockWeights, type WrittenWeights } from "../../shared/merging/block_weights.ts";
import type { Merge } from "../../shared/merging/recipe.ts";
import type { Family } from "../../shared/models/families.ts";
import type { FloatDType } from "../../shared/tensor/float64.ts";
import { DTYPE_NAMES } from "../../shared/tensor/dtype_names.ts";
import type { Row } from "./search.ts";

/** What a row has weights for, in its order. */
export function rowBlocks(family: Family): readonly string[] {
  return [BASE, ...mergeBlocks(family)];
}

/**
 * @param written a number, a preset's name, or numbers
 * @throws {ParameterError} about `start` if it is none of these
 */
export function startRow(written: WrittenWeights, family: Family): Row {
  const weights = parseBlockWeights(written, { field: "start", family });
  return rowBlocks(family).map(weights);
}

/** @param row weights of the second model */
export function rowMerge(models: readonly [string, string], row: Row): Merge {
  return { name: "automerge", method: "mbw", models, parameters: { mbw: row } };
}

/** A recipe of this merge, for files. */
export function rowRecipe(
  models: readonly [string, string],
  row: Row,
  dtype: FloatDType | undefined,
): string {
  const [name] = Object.entries(DTYPE_NAMES).find(([, type]) => type === dtype) ?? [];
  return [
    ...(name === undefined ? [] : [`dtype = "${name}"`, ""]),
    "[[merge]]",
    `method = "mbw"`,
    `models = ${JSON.stringify(models)}`,
    `mbw = ${JSON.stringify(row)}`,
    "",
  ].join("\n");
}
