/** The bytes of a caption as text: UTF-8, or UTF-16 that begins with its mark, as Windows' editors write. @module */

import { FormatError } from "../../../shared/errors.ts";
import { readRegularFile } from "../../../shared/regular_file.ts";

const MARKS: readonly (readonly [encoding: string, mark: readonly number[]])[] = [
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];
/** What no text has but white space; UTF-16 without its mark is full of NULs. */
// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x08\x0b\x0e-\x1f]/;

/** @throws {FormatError} in words for a message that names the file, if it is in another encoding or no text */
export function captionText(bytes: Uint8Array): string {
  const [encoding] = MARKS.find(([, mark]) => mark.every((byte, i) => bytes[i] === byte)) ??
    ["utf-8"];
  let text: string;
  try {
    text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError("it must be UTF-8, or UTF-16 with its mark: save it as UTF-8", { cause });
  }
  const control = CONTROL.exec(text);
  if (!control) return text;
  const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  throw new FormatError(
    `it must be text in UTF-8, or in UTF-16 with its mark: it has the character U+${code}`,
  );
}

/** @throws what `readRegularFile()` and `captionText()` throw */
export async function readCaptionText(path: string): Promise<string> {
  return captionText(await readRegularFile(path));
}
