/**
 * PNG's text chunks: keyword and text as `tEXt` (Latin-1), `zTXt` (Latin-1, deflated) or `iTXt`
 * (UTF-8). Programs that show how an image was made read these.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";
import { FormatError } from "../../shared/errors.ts";

/** Text chunks may be deflated; a few bytes must not unfold to gigabytes. */
const MAX_TEXT_BYTES = 16 * 2 ** 20;

/** A chunk's four-letter type and its data. */
export interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

/**
 * The chunk for one keyword and its text: `tEXt` where Latin-1 can hold the text, else `iTXt`.
 * The format forbids NUL in text: it becomes U+FFFD, because by then an image has been paid for.
 *
 * @throws {FormatError} if the keyword is not 1 to 79 printable Latin-1 characters without outer or
 *   double spaces
 */
export function encodeText(keyword: string, text: string): Chunk {
  if (!/^[\x21-\x7e\xa1-\xff]+( [\x21-\x7e\xa1-\xff]+)*$/.test(keyword) || keyword.length > 79) {
    throw new FormatError(
      `PNG text keyword must be 1 to 79 printable Latin-1 characters without outer or double ` +
        `spaces: current value is "${keyword}"`,
    );
  }
  const key = Buffer.from(`${keyword}\0`, "latin1");
  const body = text.replaceAll("\0", "\ufffd");
  // deno-lint-ignore no-control-regex
  if (/^[\x00-\xff]*$/.test(body)) {
    return { type: "tEXt", data: Buffer.concat([key, Buffer.from(body, "latin1")]) };
  }
  // Not compressed (two zero bytes), no language, no translated keyword (a NUL each).
  return { type: "iTXt", data: Buffer.concat([key, new Uint8Array(4), Buffer.from(body, "utf8")]) };
}

/**
 * Keyword and text of a text chunk; undefined for a chunk of any other type.
 *
 * @throws {FormatError} if a text chunk is malformed
 */
export function decodeText({ type, data }: Chunk): readonly [string, string] | undefined {
  if (type !== "tEXt" && type !== "zTXt" && type !== "iTXt") return undefined;
  const [keyword, rest] = cut(type, data);
  const key = latin1(keyword);
  if (type === "tEXt") return [key, latin1(rest)];
  if (type === "zTXt") {
    if (rest[0] !== 0) throw malformed(type, `compression method must be 0`);
    return [key, latin1(inflateText(type, rest.subarray(1)))];
  }
  const [flag, method] = rest;
  if ((flag !== 0 && flag !== 1) || method === undefined || flag * method !== 0) {
    throw malformed(type, `compression flag must be 0 or 1 and the method 0`);
  }
  const [, afterLanguage] = cut(type, rest.subarray(2));
  const [, body] = cut(type, afterLanguage);
  return [key, new TextDecoder().decode(flag === 1 ? inflateText(type, body) : body)];
}

/** Splits at the first NUL. */
function cut(type: string, bytes: Uint8Array): [Uint8Array, Uint8Array] {
  const end = bytes.indexOf(0);
  if (end < 0) throw malformed(type, "a NUL byte must end the keyword");
  return [bytes.subarray(0, end), bytes.subarray(end + 1)];
}

function inflateText(type: string, bytes: Uint8Array): Uint8Array {
  try {
    return inflateSync(bytes, { maxOutputLength: MAX_TEXT_BYTES });
  } catch (cause) {
    throw malformed(type, `text must inflate to at most ${MAX_TEXT_BYTES} bytes`, cause);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function malformed(type: string, expected: string, cause?: unknown): FormatError {
  return new FormatError(`PNG chunk "${type}" is malformed: ${expected}`, { cause });
}
