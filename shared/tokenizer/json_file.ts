/**
 * Reads the small text and JSON files of a tokenizer folder, each of which may be absent.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { readRegularFile } from "../regular_file.ts";
import { show } from "../show.ts";

/** A JSON object and where it is from; absent files are empty objects. */
export interface JsonFile {
  readonly json: Readonly<Record<string, unknown>>;
  readonly path: string;
  readonly exists: boolean;
}

/** CLIP's vocabulary takes 1 MB and its tokenizer.json 4; JSON objects take a multiple in memory. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/**
 * The text of a file, or `undefined` if there is none.
 *
 * @throws {FormatError} if it is no file, larger than any tokenizer's, or not UTF-8
 */
export async function readText(path: string): Promise<string | undefined> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new FormatError(`Tokenizer file ${show(path)} must be readable: ${cause}`, { cause });
  }
  if (!info.isFile) {
    throw new FormatError(`Tokenizer file ${show(path)} must be a file: it is a folder or device`);
  }
  if (info.size > MAX_FILE_BYTES) {
    throw new FormatError(
      `Tokenizer file ${show(path)} must have at most ${MAX_FILE_BYTES} bytes: ` +
        `current size is ${info.size}`,
    );
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readRegularFile(path));
  } catch (cause) {
    throw new FormatError(`Tokenizer file ${show(path)} must be readable UTF-8: ${cause}`, {
      cause,
    });
  }
}

/** @throws {FormatError} as `readText()`, or if the file holds anything but a JSON object */
export async function readJsonFile(path: string): Promise<JsonFile> {
  const text = await readText(path);
  if (text === undefined) return { json: {}, path, exists: false };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`Tokenizer file ${show(path)} must be JSON: ${cause}`, { cause });
  }
  if (!isObject(json)) {
    throw new FormatError(
      `Tokenizer file ${show(path)} must be a JSON object: current value is ${show(json)}`,
    );
  }
  return { json, path, exists: true };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
