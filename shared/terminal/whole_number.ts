/** The flag value that every role counts with. @module */

import { UsageError } from "../errors.ts";

/** A whole number >= `minimum`. */
export function wholeNumber(flag: string, minimum = 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= minimum) return value;
    throw new UsageError(
      `${flag} must be a whole number >= ${minimum}: current value is "${text}"`,
    );
  };
}
