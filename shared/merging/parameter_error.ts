/** A merge's parameter that does not fit: the caller knows whether a flag or a recipe's key gave it. @module */

import { TuttiError } from "../errors.ts";

/** The message goes on after the parameter's name: `must be 0.2: current value is "x"`. */
export class ParameterError extends TuttiError {
  override readonly name = "ParameterError";
  /** `alpha`, `models`, `method`, ... */
  readonly field: string;

  constructor(field: string, message: string) {
    super("INVALID_ARGUMENT", message, { details: { field } });
    this.field = field;
  }
}
