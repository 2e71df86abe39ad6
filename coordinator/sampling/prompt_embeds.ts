/**
 * From prompts to what conditions an expert's U-Net, by family: SD1.5 takes the last states of its text encoder; SDXL the
 * penultimate states of both encoders side by side, and the pooled states of the second (`docs/spec.md`, "SDXL").
 *
 * @module
 */

import type { Expert } from "../../shared/engine/expert.ts";
import { UsageError } from "../../shared/errors.ts";
import { FAMILIES } from "../../shared/models/families.ts";
import type { PromptChunk } from "../../shared/prompt/chunks.ts";
import { concatColumns, f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { chunksOf, encodeRows, type PromptRow } from "./text_states.ts";

export interface PromptEmbeds {
  /** f32 `[B, L, D]` */
  readonly promptEmbeds: F32Tensor;
  /** f32 `[B, P]`; SDXL only. */
  readonly pooledPromptEmbeds?: F32Tensor;
}

export interface PromptEmbedsOptions {
  /**
   * A1111's meaning: 1 is the last layer. SDXL was trained on the penultimate one and takes no other: there 1 means
   * no wish and 2 names that very layer, as in A1111, whose SDXL models come with the advice "clip skip 2".
   */
  readonly clipSkip: number;
  /** Rows that become zeros: SDXL was trained so for prompts that are not given. */
  readonly zeroRows?: readonly boolean[];
  /** What SDXL's second tokenizer pads with. @default 0 */
  readonly secondPadId?: number;
  readonly signal?: AbortSignal;
}

/** SDXL's second tokenizer pads with this id ("!") as published, the first with the end token. */
const SECOND_PAD_ID = 0;

/** The layer that SDXL takes, counted from the end. */
const SDXL_LAYER = 2;

/** @throws {UsageError} if SDXL is asked for another layer than its own */
export async function encodePrompts(
  expert: Expert,
  rows: readonly PromptRow[],
  { clipSkip, zeroRows, secondPadId = SECOND_PAD_ID, signal }: PromptEmbedsOptions,
): Promise<PromptEmbeds> {
  if (!FAMILIES[expert.description.family].configs.text2) {
    const { states } = await encodeRows(expert, rows, { clipSkip }, "last", signal);
    return { promptEmbeds: states };
  }
  if (clipSkip > SDXL_LAYER) {
    throw new UsageError(
      `--clip-skip must be 1 or ${SDXL_LAYER} for SDXL, which takes the last layer but one in both cases: ` +
        `current value is ${clipSkip}`,
    );
  }
  const eosTokenId = expert.description.texts[0]!.eosTokenId;
  const secondRows = rows.map((row) =>
    chunksOf(row).map((chunk) => withPad(chunk, eosTokenId, secondPadId))
  );
  const [first, second] = await Promise.all([
    encodeRows(expert, rows, { encoder: 0 }, "penultimate", signal),
    encodeRows(expert, secondRows, { encoder: 1 }, "penultimate", signal),
  ]);
  const promptEmbeds = concatColumns([first.states, second.states]);
  return {
    promptEmbeds: zeroed(promptEmbeds, zeroRows),
    pooledPromptEmbeds: zeroed(second.pooled, zeroRows),
  };
}

function withPad(
  { inputIds, weights }: PromptChunk,
  eosTokenId: number,
  padId: number,
): PromptChunk {
  const end = inputIds.indexOf(eosTokenId);
  return { weights, inputIds: inputIds.map((id, i) => i > end ? padId : id) };
}

function zeroed(tensor: F32Tensor, rows: readonly boolean[] | undefined): F32Tensor {
  if (!rows?.includes(true)) return tensor;
  const result = f32(tensor.shape, tensor.data.slice());
  const size = tensor.data.length / rows.length;
  rows.forEach((isZero, row) => isZero && result.data.fill(0, row * size, (row + 1) * size));
  return result;
}
