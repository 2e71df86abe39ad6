/**
 * A prompt of any length as rows of ids that a text encoder takes, each with a weight per token. The rules
 * are stable-diffusion-webui's: tokens fill one chunk after the other, and a chunk that would end within a
 * phrase ends after the last comma instead, if that is near.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { ClipTokenizer } from "../tokenizer/clip_tokenizer.ts";
import type { PromptPart } from "./attention.ts";

/** One row for a text encoder of length L. */
export interface PromptChunk {
  /** BOS, at most L - 2 tokens, EOS, padding: L ids. */
  readonly inputIds: readonly number[];
  /** L weights; BOS, EOS and padding have 1. */
  readonly weights: readonly number[];
}

interface WeightedToken {
  readonly id: number;
  readonly weight: number;
}

/** BOS and EOS stand around every chunk. */
const MARKER_TOKENS = 2;

/**
 * How far back a comma may lie: among the last 20 of 75 tokens, the webui's default, and in the same
 * proportion for encoders of another length.
 */
const COMMA_BACKTRACK = 20 / 75;

/**
 * Fills chunks with the tokens of `parts`, which are tokenized each by itself.
 *
 * @param maxLength L
 * @returns at least one chunk; a break at the beginning or after another one leaves an empty chunk
 * @throws {TuttiError} INVALID_ARGUMENT if `maxLength` leaves no room for a token
 */
export function chunkPrompt(
  tokenizer: ClipTokenizer,
  parts: readonly PromptPart[],
  maxLength: number,
): PromptChunk[] {
  const room = maxLength - MARKER_TOKENS;
  if (!Number.isSafeInteger(room) || room < 1) {
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `Prompt chunks must have a whole number of tokens >= ${MARKER_TOKENS + 1}: ` +
        `current value is ${maxLength}`,
    );
  }
  const backtrack = Math.round(room * COMMA_BACKTRACK);
  const comma = commaId(tokenizer);
  const chunks: PromptChunk[] = [];
  let tokens: WeightedToken[] = [];
  /** Where the chunk may end early: after its last comma; 0 where it has none. */
  let afterComma = 0;
  const endChunk = (carried: WeightedToken[] = []) => {
    chunks.push(fillChunk(tokenizer, tokens, maxLength));
    tokens = carried;
    afterComma = 0;
  };
  for (const part of parts) {
    if (part.kind === "break") {
      endChunk();
      continue;
    }
    for (const id of tokenizer.encode(part.text)) {
      if (tokens.length === room) {
        const mayBacktrack = id !== comma && afterComma > 0 && room - afterComma < backtrack;
        endChunk(mayBacktrack ? tokens.splice(afterComma) : []);
      }
      tokens.push({ id, weight: part.weight });
      if (id === comma) afterComma = tokens.length;
    }
  }
  if (tokens.length > 0 || chunks.length === 0) endChunk();
  return chunks;
}

/**
 * Gives every prompt of a guidance batch as many chunks as the longest has: the others get empty ones.
 *
 * @param tokenizer the prompts' own
 */
export function padChunks(
  prompts: readonly (readonly PromptChunk[])[],
  tokenizer: ClipTokenizer,
  maxLength: number,
): PromptChunk[][] {
  const count = Math.max(...prompts.map((chunks) => chunks.length));
  const empty = fillChunk(tokenizer, [], maxLength);
  return prompts.map((
    chunks,
  ) => [...chunks, ...new Array<PromptChunk>(count - chunks.length).fill(empty)]);
}

function fillChunk(
  { bosTokenId, eosTokenId, padTokenId }: ClipTokenizer,
  tokens: readonly WeightedToken[],
  maxLength: number,
): PromptChunk {
  const padding = maxLength - MARKER_TOKENS - tokens.length;
  const rest = [eosTokenId, ...new Array<number>(padding).fill(padTokenId)];
  return {
    inputIds: [bosTokenId, ...tokens.map(({ id }) => id), ...rest],
    weights: [1, ...tokens.map(({ weight }) => weight), ...rest.map(() => 1)],
  };
}

/** The id of a comma by itself; none in a vocabulary that spells it with several tokens. */
function commaId(tokenizer: ClipTokenizer): number | undefined {
  const ids = tokenizer.encode(",");
  return ids.length === 1 ? ids[0] : undefined;
}
