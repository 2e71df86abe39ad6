/**
 * Where messages for people go: standard error, so that standard output stays clean for results.
 *
 * @module
 */

export interface Terminal {
  /** Whether a line can be drawn over: a real terminal that knows control characters. */
  readonly isInteractive: boolean;
  /** Whether colours are welcome (https://no-color.org). */
  readonly hasColour: boolean;
  /** Columns now; windows are resized while we draw. */
  columns(): number;
  /** Never throws: what cannot be written is lost. */
  write(text: string): void;
}

const DEFAULT_COLUMNS = 80;

/** This process's standard error. */
export function stderrTerminal(): Terminal {
  const isInteractive = Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb";
  const encoder = new TextEncoder();
  return {
    isInteractive,
    hasColour: isInteractive && !Deno.noColor,
    columns() {
      try {
        return Deno.consoleSize().columns || DEFAULT_COLUMNS;
      } catch {
        // Only standard error is a terminal, or none of the streams is.
        return DEFAULT_COLUMNS;
      }
    },
    write(text) {
      const bytes = encoder.encode(text);
      try {
        for (let offset = 0; offset < bytes.length;) {
          offset += Deno.stderr.writeSync(bytes.subarray(offset));
        }
      } catch {
        // A full disk, or nobody reads any more: no line is worth a run.
      }
    },
  };
}
