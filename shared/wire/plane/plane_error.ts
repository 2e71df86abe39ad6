/**
 * What goes wrong on a tensor plane. All of it is a reason to close this plane and none to fail a session, which has slower
 * planes left; the code tells a plane that is not to be had here from a peer that breaks the rules.
 *
 * @module
 */

import { type Code, TuttiError, type TuttiErrorOptions } from "../../errors.ts";

export class PlaneError extends TuttiError {
  override readonly name = "PlaneError";
}

/** "X must be Y: current value is Z", with the three of them as details. */
export function mismatch(
  code: Code,
  field: string,
  expected: string | number,
  value: string | number,
  options: Pick<TuttiErrorOptions, "cause"> = {},
): PlaneError {
  const details = { field, expected: String(expected), value: String(value) };
  const message = `${field} must be ${expected}: current value is ${value}`;
  return new PlaneError(code, message, { ...options, details });
}
