/** From the prompts as users write them to rows for the text encoders. @module */

import { firstText } from "../../shared/engine/choose_text.ts";
import { padChunks, type PromptChunk } from "../../shared/prompt/chunks.ts";
import { type PromptSyntax, readPrompt } from "../../shared/prompt/read_prompt.ts";
import { UsageError } from "../../shared/errors.ts";
import { DEFAULT_LIMITS } from "../../shared/wire/limits.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { usesGuidance } from "./guidance.ts";

export interface PromptFlags {
  readonly negative: string;
  readonly guidance: number;
  readonly promptSyntax: PromptSyntax;
}

export interface PromptRows {
  readonly prompt: readonly PromptChunk[];
  readonly negative: readonly PromptChunk[];
}

/**
 * Both prompts, with equally many chunks where guidance uses both.
 *
 * @param warn told what was cut or ignored
 * @throws {UsageError} if a prompt is longer than a worker takes
 */
export function promptRows(
  { tokenizers: [tokenizer], experts }: Pick<Ensemble, "tokenizers" | "experts">,
  prompt: string,
  { negative, guidance, promptSyntax: syntax }: PromptFlags,
  warn: (text: string) => void,
): PromptRows {
  const { maxLength } = firstText(experts[0]!.description);
  const [first, second] = ([["Prompt", prompt], ["Negative prompt", negative]] as const).map(
    ([name, text]) => {
      const { chunks, warnings } = readPrompt(tokenizer, { name, text, syntax, maxLength });
      warnings.forEach(warn);
      return chunks;
    },
  ) as [PromptChunk[], PromptChunk[]];
  checkLength("Prompt", first, maxLength);
  // Without guidance the negative prompt is not used, so its length must not count.
  if (!usesGuidance(guidance)) return { prompt: first, negative: second };
  checkLength("Negative prompt", second, maxLength);
  const [padded, paddedNegative] = padChunks([first, second], tokenizer, maxLength);
  return { prompt: padded!, negative: paddedNegative! };
}

function checkLength(name: string, { length }: readonly PromptChunk[], maxLength: number): void {
  const most = Math.floor(DEFAULT_LIMITS.maxTokens / maxLength);
  if (length <= most) return;
  // Begin and end of a chunk are no tokens of the prompt.
  const tokens = maxLength - 2;
  throw new UsageError(
    `${name} must have at most ${most} chunks of ${tokens} tokens: current length is ${length} chunks`,
  );
}
