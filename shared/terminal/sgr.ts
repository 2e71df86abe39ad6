/**
 * The few text styles that the command line uses.
 *
 * @module
 */

export interface Styles {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
}

/** Styles that colour, or that leave text as it is: for a pipe, a file, or NO_COLOR. */
export function styles(enabled: boolean): Styles {
  function style(on: number, off: number): (text: string) => string {
    return enabled ? (text) => `\x1b[${on}m${text}\x1b[${off}m` : (text) => text;
  }
  return {
    bold: style(1, 22),
    dim: style(2, 22),
    red: style(31, 39),
    green: style(32, 39),
    yellow: style(33, 39),
  };
}
