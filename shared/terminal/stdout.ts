/** Standard output: results for people and programs. Progress, warnings and errors go to standard error. @module */

const encoder = new TextEncoder();

export function printText(text: string): void {
  const bytes = encoder.encode(text);
  let offset = 0;
  while (offset < bytes.length) offset += Deno.stdout.writeSync(bytes.subarray(offset));
}

export function printLine(text: string): void {
  printText(`${text}\n`);
}

/** One object a line. Large whole numbers (seeds) that JSON readers would round become strings. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(value, (_, v) => typeof v === "bigint" ? jsonInteger(v) : v));
}

function jsonInteger(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}
