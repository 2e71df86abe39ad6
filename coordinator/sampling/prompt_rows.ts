/** From the prompts as users write them to rows for the text encoders. @module */

import { firstText } from "../../shared/engine/choose_text.ts";
import { padChunks, type PromptChunk } from "../../shared/prompt/chunks.ts";
import { type PromptSyntax, readPrompt } from "../../shared/prompt/read_prompt.ts";
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
  // Without guidance the negative prompt is not used, so its length must not count.
  if (!usesGuidance(guidance)) return { prompt: first, negative: second };
  const [padded, paddedNegative] = padChunks([first, second], tokenizer, maxLength);
  return { prompt: padded!, negative: paddedNegative! };
}
