/**
 * A prompt as the text encoder takes it: one row of ids of fixed length.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { ClipTokenizer } from "./clip_tokenizer.ts";

export interface EncodedPrompt {
  /** BOS, the prompt's tokens, EOS, then padding; exactly `maxLength` ids. */
  readonly inputIds: number[];
  /** The end of the prompt that did not fit, as the tokenizer spells it; empty if all of it fitted. */
  readonly cutText: string;
}

/** BOS and EOS stand around every prompt. */
const MARKER_TOKENS = 2;

/**
 * Encodes a prompt, cutting what does not fit as diffusers does: the first `maxLength - 2` tokens stay.
 *
 * @param maxLength ids of the result: the text encoder's context length
 * @throws {TuttiError} INVALID_ARGUMENT if `maxLength` is no whole number >= 2
 */
export function encodePrompt(
  tokenizer: ClipTokenizer,
  text: string,
  maxLength: number,
): EncodedPrompt {
  if (!Number.isSafeInteger(maxLength) || maxLength < MARKER_TOKENS) {
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `Prompt length must be a whole number >= ${MARKER_TOKENS}: current value is ${maxLength}`,
    );
  }
  const ids = tokenizer.encode(text);
  const kept = ids.slice(0, maxLength - MARKER_TOKENS);
  const inputIds = [tokenizer.bosTokenId, ...kept, tokenizer.eosTokenId];
  while (inputIds.length < maxLength) inputIds.push(tokenizer.padTokenId);
  return { inputIds, cutText: tokenizer.decode(ids.slice(kept.length)) };
}
