/** What a command tells a person while it works, on standard error. @module */

import { stderrTerminal, type Terminal } from "../../shared/terminal/terminal.ts";

export interface CommandNotes {
  readonly terminal: Terminal;
  /** A line that a program which reads JSON does not want. */
  readonly note: (text: string) => void;
  readonly warn: (text: string) => void;
}

export function commandNotes({ json }: { readonly json: boolean }): CommandNotes {
  const terminal = stderrTerminal();
  return {
    terminal,
    note: (text) => {
      if (!json) terminal.write(`${text}\n`);
    },
    warn: (text) => terminal.write(`warning: ${text}\n`),
  };
}
