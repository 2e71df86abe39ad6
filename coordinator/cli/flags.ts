/** Parsers of flag values that several commands share. @module */

import { UsageError } from "../../shared/errors.ts";
import { show } from "../../shared/show.ts";
import * as pictures from "../settings/picture_values.ts";
import type { TextProblem, ValueType } from "../settings/value_type.ts";
import * as values from "../settings/value_types.ts";

export { wholeNumber } from "../../shared/terminal/whole_number.ts";

/** @returns a parser that throws UsageError with the flag's name, what is expected, and the text */
export function flagParser<T>(flag: string, type: ValueType<T>): (text: string) => T {
  return (text) => {
    const value = type.read(type.fromText(text));
    if (value !== undefined) return value;
    const { expected, hint = "" }: TextProblem = type.explain?.(text) ?? type;
    throw new UsageError(`${flag} must be ${expected}: current value is ${show(text)}${hint}`);
  };
}

/** One of a few words. */
export function oneOf<T extends string>(flag: string, choices: readonly T[]): (text: string) => T {
  return flagParser(flag, values.oneOf(choices));
}

/** Several of a few words, separated by commas. */
export function listOf<T extends string>(
  flag: string,
  choices: readonly T[],
): (text: string) => readonly T[] {
  return (text) => text.split(",").map((word) => oneOf(flag, choices)(word.trim()));
}

/** A finite number. */
export function finiteNumber(flag: string): (text: string) => number {
  return flagParser(flag, values.finiteNumber());
}

/** A finite number above 0. */
export function positive(flag: string): (text: string) => number {
  return (text) => {
    const value = finiteNumber(flag)(text);
    if (value > 0) return value;
    throw new UsageError(`${flag} must be above 0: current value is "${text}"`);
  };
}

/** A finite number from 0 on. */
export function notNegative(flag: string): (text: string) => number {
  return (text) => {
    const value = finiteNumber(flag)(text);
    if (value >= 0) return value;
    throw new UsageError(`${flag} must be 0 or more: current value is "${text}"`);
  };
}

/** A number from 0 to 1: a probability, or a part of a whole. */
export function share(flag: string): (text: string) => number {
  return (text) => {
    const value = finiteNumber(flag)(text);
    if (value >= 0 && value <= 1) return value;
    throw new UsageError(`${flag} must be from 0 to 1: current value is "${text}"`);
  };
}

/** A seed as torch takes it. */
export function seed(flag: string) {
  return flagParser(flag, pictures.seed);
}

/** `512`, or `768x512` as width x height; pixels. */
export function imageSize(flag: string) {
  return flagParser(flag, pictures.imageSize);
}

/** `all`, `noise`, or block ids separated by commas. */
export function blockChoice(flag: string) {
  return flagParser(flag, pictures.blockChoice);
}
