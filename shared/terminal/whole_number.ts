/** The flag value that every role counts with. @module */

import { UsageError } from "../errors.ts";

/** A whole number >= `minimum`, and <= `maximum` if there is one. */
export function wholeNumber(
  flag: string,
  minimum = 1,
  maximum = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  const range = maximum < Number.MAX_SAFE_INTEGER ? `in ${minimum}..${maximum}` : `>= ${minimum}`;
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= minimum && value <= maximum) return value;
    throw new UsageError(`${flag} must be a whole number ${range}: current value is "${text}"`);
  };
}
