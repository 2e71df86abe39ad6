/** The kinds of values that say nothing about pictures: numbers, words, texts. @module */

import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import type { ValueType } from "./value_type.ts";

export function wholeNumber(min: number, max: number): ValueType<number> {
  return {
    expected: `a whole number in ${min}..${max}`,
    read: (value) => isWhole(value, min, max) ? value : undefined,
    fromText: (text) => /^\d+$/.test(text) ? Number(text) : undefined,
  };
}

export function isWhole(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && min <= value && value <= max;
}

export function finiteNumber(): ValueType<number> {
  return {
    expected: "a finite number",
    read: (value) => typeof value === "number" && Number.isFinite(value) ? value : undefined,
    fromText: (text) => text.trim() === "" ? undefined : Number(text),
    explain: () => ({ expected: "a number" }),
  };
}

/** One of a few words. */
export function oneOf<T extends string>(choices: readonly T[]): ValueType<T> {
  const expected = `one of ${choices.join(", ")}`;
  return {
    expected,
    read: (value) => choices.find((choice) => choice === value),
    fromText: (text) => text,
    explain: (text) => ({ expected, hint: didYouMean(text, choices) }),
  };
}

export function textUpTo(maxChars: number): ValueType<string> {
  return {
    expected: `a string of at most ${maxChars} characters`,
    read: (value) => typeof value === "string" && value.length <= maxChars ? value : undefined,
    fromText: (text) => text,
  };
}

/** A finite number in a range, both ends included. */
export function numberIn(min: number, max: number): ValueType<number> {
  const { read, fromText } = finiteNumber();
  const isWithin = (value: number) => min <= value && value <= max;
  return {
    expected: `a number in ${min}..${max}`,
    read: (value) => isWithin(read(value) ?? NaN) ? read(value) : undefined,
    fromText,
  };
}
