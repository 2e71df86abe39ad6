/**
 * Which images there are and what they show: a file of JSON lines `{"image_file": ..., "text": ...}`, as the paper's code reads; a folder
 * with such a file, `captions.jsonl`; or a folder where `name.txt` says what `name.png` shows.
 *
 * @module
 */

import { extname, join, resolve } from "node:path";
import { FormatError } from "../../../shared/errors.ts";
import { readRegularText } from "../../../shared/regular_file.ts";
import { show } from "../../../shared/show.ts";

export interface DataRecord {
  /** Absolute. */
  readonly imagePath: string;
  readonly text: string;
}

/** A file that training goes on without, and why. */
export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}

export interface DataRecords {
  /** In the file's order; of a folder, by name. */
  readonly records: readonly DataRecord[];
  readonly skipped: readonly SkippedFile[];
}

/** In a folder, what says all; `tutti zoo shapes` writes it. */
const CAPTIONS = "captions.jsonl";

const IMAGE_ENDINGS = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"];

/**
 * @throws {FormatError} if the path does not exist, a line is no record, or there is no record at all
 */
export async function readRecords(path: string): Promise<DataRecords> {
  const found = await Deno.stat(path).catch((cause) => {
    throw new FormatError(`Training data ${show(path)} must exist: ${cause.message}`, { cause });
  });
  const read = found.isDirectory ? await readFolder(resolve(path)) : await readLines(resolve(path));
  if (read.records.length > 0) return read;
  const [first] = read.skipped;
  throw new FormatError(
    `Training data ${show(path)} must have at least one image with its text: it has none` +
      (first ? ` (skipped ${read.skipped.length}, ${show(first.path)}: ${first.reason})` : ""),
  );
}

async function readFolder(folder: string): Promise<DataRecords> {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  if (names.includes(CAPTIONS)) return await readLines(join(folder, CAPTIONS));
  const captions = new Set(names.filter((name) => name.endsWith(".txt")));
  const records: DataRecord[] = [];
  const skipped: SkippedFile[] = [];
  for (const name of names) {
    const ending = extname(name);
    if (!IMAGE_ENDINGS.includes(ending.toLowerCase())) continue;
    const imagePath = join(folder, name);
    const caption = `${name.slice(0, -ending.length)}.txt`;
    if (captions.has(caption)) {
      try {
        const text = (await readRegularText(join(folder, caption))).trim();
        records.push({ imagePath, text });
      } catch (error) {
        const reason = `${caption} cannot be read: ${(error as Error).message}`;
        skipped.push({ path: imagePath, reason });
      }
    } else {
      skipped.push({ path: imagePath, reason: `there is no ${caption} that says what it shows` });
    }
  }
  return { records, skipped };
}

async function readLines(file: string): Promise<DataRecords> {
  const records: DataRecord[] = [];
  const content = await readRegularText(file).catch((cause) => {
    throw new FormatError(`Cannot read the captions of ${show(file)}: ${cause.message}`, { cause });
  });
  for (const [i, line] of content.split("\n").entries()) {
    if (line.trim() === "") continue;
    const { image_file, text } = parseLine(file, i + 1, line);
    records.push({ imagePath: resolve(file, "..", image_file), text });
  }
  return { records, skipped: [] };
}

function parseLine(file: string, line: number, json: string) {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Told below, as any other line that is no record.
  }
  const { image_file, text } = (value ?? {}) as { image_file?: unknown; text?: unknown };
  if (typeof image_file === "string" && typeof text === "string") return { image_file, text };
  throw new FormatError(
    `${file}:${line}: Training data must be JSON lines {"image_file": ..., "text": ...}: ` +
      `current line is ${show(json.slice(0, 200))}`,
    { details: { file, line: String(line) } },
  );
}
