/**
 * What a kind of value looks like, wherever somebody writes one: on the command line, in JSON, in an ensemble file. One
 * check serves them all: text becomes a JSON value first, and the value is checked.
 *
 * @module
 */

/** `T` is a JSON value wherever it becomes part of a job. */
export interface ValueType<T> {
  /** What a JSON value must be, in words that follow "must be": `a whole number in 1..1000`. */
  readonly expected: string;
  /** The value, or `undefined` if it is not what is expected. */
  read(value: unknown): T | undefined;
  /** The JSON value that a text of the command line means, for `read` to check. */
  fromText(text: string): unknown;
  /** What a text that `read` refused should have been. @default `expected` and no hint */
  explain?(text: string): TextProblem;
  /** How an ensemble file has it. @default as JSON */
  readonly inFile?: Pick<ValueType<T>, "expected" | "read">;
}

export interface TextProblem {
  readonly expected: string;
  /** What to try instead, after the current value: ` (did you mean "a1111"?)`. */
  readonly hint?: string;
}
