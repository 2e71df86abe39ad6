/** Standard output: results for people and programs. Progress, warnings and errors go to standard error. @module */

const encoder = new TextEncoder();

// deno-lint-ignore no-control-regex
const STYLE_HERE = /\x1b\[[0-9;]*m/y;

export function printText(text: string): void {
  const bytes = encoder.encode(text);
  let offset = 0;
  while (offset < bytes.length) offset += Deno.stdout.writeSync(bytes.subarray(offset));
}

/** Control characters in it, which may come from a peer's names or a stranger's file, reach no terminal; colours do. */
export function printLine(text: string): void {
  printText(`${printable(text)}\n`);
}

/** With what would move the cursor or speak to the terminal replaced by "�". */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (control, at: number) => {
    STYLE_HERE.lastIndex = at;
    return control === "\n" || control === "\t" || STYLE_HERE.test(text) ? control : "\uFFFD";
  });
}

/**
 * What a program reads, one object a line. It begins with the version of its form, which `docs/json.md` promises: 1, unless the
 * object itself has another one. Seeds become strings of digits: as JSON numbers, most readers would round those above 2^53.
 */
export function printJson(value: object): void {
  printLine(jsonLine(value));
}

/** The text of `printJson()`. */
export function jsonLine(value: object): string {
  return JSON.stringify(
    { version: 1, ...value },
    (_, v) => typeof v === "bigint" ? String(v) : v,
  );
}
