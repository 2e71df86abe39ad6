/** The text encoder that every prompt goes through. @module */

import { TuttiError } from "../errors.ts";
import type { ExpertDescription, TextDescription } from "./expert.ts";

/** @throws {TuttiError} FAILED_PRECONDITION if the expert came without one: its file held the U-Net alone */
export function firstText({ name, texts }: ExpertDescription): TextDescription {
  if (texts[0]) return texts[0];
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `Expert "${name}" must have a text encoder: its file holds the U-Net alone`,
  );
}
