/**
 * From what a person wrote to what text encoders take, in the syntax that the person chose.
 *
 * @module
 */

import type { ClipTokenizer } from "../tokenizer/clip_tokenizer.ts";
import { encodePrompt } from "../tokenizer/prompt.ts";
import { parseAttention, type PromptPart } from "./attention.ts";
import { chunkPrompt, type PromptChunk } from "./chunks.ts";
import { dropForeignSyntax } from "./foreign_syntax.ts";

/**
 * `a1111`: weights, BREAK and prompts of any length, as stable-diffusion-webui (by AUTOMATIC1111) reads them.
 * `plain`: every character is text, and one chunk is all there is, as in diffusers.
 */
export const PROMPT_SYNTAXES = ["a1111", "plain"] as const;
export type PromptSyntax = typeof PROMPT_SYNTAXES[number];

export interface ReadPrompt {
  /** One or more; always one where the syntax is plain. */
  readonly chunks: readonly PromptChunk[];
  /** The text as it is read, each stretch with its weight. */
  readonly parts: readonly PromptPart[];
  /** Whole sentences for the person: what was cut or ignored. */
  readonly warnings: readonly string[];
}

export interface PromptRequest {
  /** What warnings call it: `Negative prompt`. */
  readonly name: string;
  readonly text: string;
  readonly syntax: PromptSyntax;
  /** L, the text encoder's. */
  readonly maxLength: number;
}

/**
 * A prompt without brackets, backslashes, tags and BREAK that fits into one chunk gives the same ids in
 * both syntaxes.
 *
 * @throws {UsageError} if a weight is beyond all bounds
 */
export function readPrompt(
  tokenizer: ClipTokenizer,
  { name, text, syntax, maxLength }: PromptRequest,
): ReadPrompt {
  if (syntax === "plain") {
    const { inputIds, cutText } = encodePrompt(tokenizer, text, maxLength);
    const warnings = cutText === "" ? [] : [
      `${name} is longer than the ${
        maxLength - 2
      } tokens that the text encoder takes: cut was "${cutText}"`,
    ];
    const chunks = [{ inputIds, weights: inputIds.map(() => 1) }];
    return { chunks, parts: [{ kind: "text", text, weight: 1 }], warnings };
  }
  const known = dropForeignSyntax(name, text);
  const parts = parseAttention(known.text);
  const chunks = chunkPrompt(tokenizer, parts, maxLength);
  return { chunks, parts, warnings: known.warnings };
}
