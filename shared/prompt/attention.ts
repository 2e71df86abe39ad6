/**
 * The weighting syntax of stable-diffusion-webui's prompts: `(more)` is 1.1 times as strong, `[less]` 1 / 1.1,
 * `(this:1.3)` 1.3 times; brackets nest, and a backslash makes one literal. `BREAK` ends a chunk
 * (`chunks.ts`). What the weights do to the text states is in `emphasis.ts`.
 *
 * @module
 */

import { UsageError } from "../errors.ts";
import { show } from "../show.ts";

/** A stretch of prompt with one weight, or the place where a chunk must end. */
export type PromptPart =
  | { readonly kind: "text"; readonly text: string; readonly weight: number }
  | { readonly kind: "break" };

interface OpenPart {
  /** `undefined` stands for a break. */
  readonly text: string | undefined;
  weight: number;
}

const MORE = 1.1;
const LESS = 1 / 1.1;

/** Far beyond what draws anything; text states times this are finite in f32. */
const MAX_WEIGHT = 1000;

/** An escape, a weight with its closing bracket, a bracket, a colon, or a run of anything else. */
const TOKEN =
  /\\(?<literal>[\\()[\]]?)|:\s*(?<weight>[+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*\)|[()[\]:]|[^\\()[\]:]+/gu;

// A stretch of spaces is tried from its beginning only: from each of them on it would take quadratic time.
const BREAK = /(?:(?<!\s)\s+)?(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])\s*/u;

/**
 * Splits a prompt into parts of equal weight. Nothing is a syntax error: a bracket that closes nothing is
 * text, one that is never closed reaches to the end, and a backslash in front of an ordinary character
 * vanishes. Unlike in the webui, `BREAK` also works inside brackets (there it becomes a word of negative weight).
 *
 * @returns at least one part; neighbouring texts differ in weight
 * @throws {UsageError} if a weight is beyond -1000..1000
 */
export function parseAttention(prompt: string): PromptPart[] {
  const parts: OpenPart[] = [];
  const openRound: number[] = [], openSquare: number[] = [];
  const scaleFrom = (start: number, factor: number) => {
    for (let i = start; i < parts.length; i++) parts[i]!.weight *= factor;
  };
  for (const { 0: token, groups } of prompt.matchAll(TOKEN)) {
    const { literal, weight } = groups!;
    if (literal !== undefined) parts.push({ text: literal, weight: 1 });
    else if (token === "(") openRound.push(parts.length);
    else if (token === "[") openSquare.push(parts.length);
    else if (weight !== undefined && openRound.length > 0) {
      scaleFrom(openRound.pop()!, Number(weight));
    } else if (token === ")" && openRound.length > 0) scaleFrom(openRound.pop()!, MORE);
    else if (token === "]" && openSquare.length > 0) scaleFrom(openSquare.pop()!, LESS);
    else parts.push(...splitAtBreaks(token));
  }
  for (const start of openRound) scaleFrom(start, MORE);
  for (const start of openSquare) scaleFrom(start, LESS);
  return mergeEqualWeights(parts);
}

function splitAtBreaks(text: string): OpenPart[] {
  return text.split(BREAK).flatMap((piece, index) => {
    const part = { text: piece, weight: 1 };
    return index === 0 ? [part] : [{ text: undefined, weight: 1 }, part];
  });
}

/** Words are found in the merged text: `a\(b` is one stretch, as if the backslash had never been there. */
function mergeEqualWeights(parts: readonly OpenPart[]): PromptPart[] {
  const merged: PromptPart[] = [];
  for (const { text, weight } of parts) {
    const last = merged.at(-1);
    if (text === undefined) merged.push({ kind: "break" });
    else if (last?.kind === "text" && last.weight === weight) {
      merged[merged.length - 1] = { ...last, text: last.text + text };
    } else merged.push({ kind: "text", text, weight });
  }
  for (const part of merged) {
    if (part.kind === "text" && !(Math.abs(part.weight) <= MAX_WEIGHT)) {
      throw new UsageError(
        `Weight of ${show(part.text)} in the prompt must lie in -${MAX_WEIGHT}..${MAX_WEIGHT}: ` +
          `current value is ${part.weight}`,
      );
    }
  }
  return merged.length > 0 ? merged : [{ kind: "text", text: "", weight: 1 }];
}
