/** Which of an expert's text encoders a prompt goes through. @module */

import { TuttiError } from "../errors.ts";
import type { ExpertDescription, TextDescription } from "./expert.ts";

/**
 * @param encoder 0, or 1 for SDXL's second one
 * @throws {TuttiError} FAILED_PRECONDITION if the expert has no such encoder
 */
export function chooseText(
  { name, texts }: Pick<ExpertDescription, "name" | "texts">,
  encoder: number,
): TextDescription {
  const text = texts[encoder];
  if (text) return text;
  throw new TuttiError(
    "FAILED_PRECONDITION",
    texts.length === 0
      ? `Expert "${name}" must have a text encoder: its file holds the U-Net alone`
      : `Expert "${name}" must have a text encoder of index ${encoder}: it has ${texts.length}`,
    { details: { field: "encoder", encoder: String(encoder) } },
  );
}

/**
 * The text encoder that every prompt goes through.
 *
 * @throws {TuttiError} FAILED_PRECONDITION if the expert came without one: its file held the U-Net alone
 */
export function firstText(description: ExpertDescription): TextDescription {
  return chooseText(description, 0);
}
