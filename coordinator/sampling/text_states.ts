/**
 * One expert's text states for the rows of a batch: chunks are encoded, weighed, and laid one after the other on
 * the token axis, so that cross-attention sees prompts of any length.
 *
 * @module
 */

import type { Expert, TextEncoding, TextOptions } from "../../shared/engine/expert.ts";
import { ShapeError } from "../../shared/errors.ts";
import type { PromptChunk } from "../../shared/prompt/chunks.ts";
import { emphasize } from "../../shared/prompt/emphasis.ts";
import { concatRows, f32, type F32Tensor, i64, sliceRows } from "../../shared/tensor/tensor.ts";

/** Token ids of one chunk, padded to the text encoder's length. */
export type InputIds = readonly number[];

/** One row of a batch: the ids of a single chunk without weights, or chunks as `readPrompt()` gives them. */
export type PromptRow = InputIds | readonly PromptChunk[];

/** What one encoder makes of the rows of a batch. */
export interface TextStates {
  /** f32 `[B, K L, D]` */
  readonly states: F32Tensor;
  /** Of each row's first chunk, f32 `[B, P]`. */
  readonly pooled: F32Tensor;
}

/** Chunks in one call: half of what a worker takes by default. */
const CHUNKS_PER_CALL = 16;

/**
 * Each different chunk is encoded once.
 *
 * @param rows with K chunks of L tokens each
 * @param layer which of the encoder's states
 * @throws {ShapeError} if a row has more chunks than another one, or none
 */
export async function encodeRows(
  expert: Expert,
  rows: readonly PromptRow[],
  options: TextOptions = {},
  layer: "last" | "penultimate" = "last",
  signal?: AbortSignal,
): Promise<TextStates> {
  const chunksOfRows = rows.map(chunksOf);
  const counts = chunksOfRows.map((chunks) => chunks.length);
  const [count = 0] = counts;
  if (count === 0 || counts.some((other) => other !== count)) {
    throw new ShapeError(
      `Prompts of one batch must have equally many chunks: current counts are [${counts}]`,
    );
  }
  const chunks = chunksOfRows.flat();
  const encodingOf = await encodeDistinct(expert, chunks, options, signal);
  const field = layer === "last" ? "lastHiddenState" : "penultimateHiddenState";
  const states = emphasize(
    concatRows(chunks.map((chunk) => encodingOf.get(keyOf(chunk))![field])),
    chunks.map(({ weights }) => weights),
  );
  const [, length = 0, width = 0] = states.shape;
  return {
    states: f32([rows.length, count * length, width], states.data),
    pooled: concatRows(chunksOfRows.map(([first]) => encodingOf.get(keyOf(first!))!.pooled)),
  };
}

/** Key of a chunk -> its encoding without weights, of one row. */
async function encodeDistinct(
  expert: Expert,
  chunks: readonly PromptChunk[],
  options: TextOptions,
  signal: AbortSignal | undefined,
): Promise<Map<string, TextEncoding>> {
  const distinct = [...new Map(chunks.map((chunk) => [keyOf(chunk), chunk.inputIds]))];
  const encodings = new Map<string, TextEncoding>();
  for (let start = 0; start < distinct.length; start += CHUNKS_PER_CALL) {
    const call = distinct.slice(start, start + CHUNKS_PER_CALL);
    const ids = call.flatMap(([, inputIds]) => inputIds);
    const inputIds = i64([call.length, ids.length / call.length], ids);
    const encoding = await expert.encodeText(inputIds, options, signal);
    for (const [row, [key]] of call.entries()) {
      encodings.set(key, {
        lastHiddenState: sliceRows(encoding.lastHiddenState, row, row + 1),
        penultimateHiddenState: sliceRows(encoding.penultimateHiddenState, row, row + 1),
        pooled: sliceRows(encoding.pooled, row, row + 1),
      });
    }
  }
  return encodings;
}

/** The chunks of a row, each with its weights. */
export function chunksOf(row: PromptRow): readonly PromptChunk[] {
  return isInputIds(row) ? [{ inputIds: row, weights: row.map(() => 1) }] : row;
}

function isInputIds(row: PromptRow): row is InputIds {
  return typeof row[0] === "number";
}

/** Chunks that differ in weights only have the same states before those count. */
function keyOf({ inputIds }: PromptChunk): string {
  return inputIds.join();
}
