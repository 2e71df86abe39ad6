/**
 * Which images there are and what they show: a file of JSON lines `{"image_file": ..., "text": ...}`, as the paper's code reads; a folder
 * with such a file, `captions.jsonl`, or with a `metadata.jsonl` of Hugging Face's image folders, which says `file_name`; or a folder
 * where `name.txt` or `name.caption` says what `name.png` shows.
 *
 * @module
 */

import { extname, join, resolve } from "node:path";
import { FormatError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { readCaptionText } from "./caption_text.ts";

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

/** In a folder, what says all, the first one that is there; `tutti zoo shapes` writes the first. */
const LISTS = ["captions.jsonl", "metadata.jsonl"];
/** Of a caption's file, in any case; the first one wins. */
const CAPTION_ENDINGS = [".txt", ".caption"];
/** Those that are not read, too: they are named as skipped. */
const IMAGE_ENDINGS = [
  ...[".png", ".jpg", ".jpeg", ".jfif", ".webp"],
  ...[".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".jxl"],
];

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
  const entries = (await Array.fromAsync(Deno.readDir(folder)))
    .sort((a, b) => a.name < b.name ? -1 : 1);
  const names = entries.map(({ name }) => name);
  const list = LISTS.find((name) => names.includes(name));
  if (list !== undefined) return await readLines(join(folder, list));
  const captions = captionFiles(names);
  const records: DataRecord[] = [];
  const skipped: SkippedFile[] = [];
  for (const { name, isDirectory } of entries) {
    const imagePath = join(folder, name);
    if (isDirectory) {
      const images = await countImages(imagePath);
      if (images > 0) skipped.push({ path: imagePath, reason: folderReason(images) });
      continue;
    }
    if (!isImage(name)) continue;
    const stem = name.slice(0, -extname(name).length);
    const caption = captions.get(stem);
    if (caption === undefined) {
      const reason = `there is no ${stem}${CAPTION_ENDINGS[0]} that says what it shows`;
      skipped.push({ path: imagePath, reason });
      continue;
    }
    try {
      records.push({ imagePath, text: (await readCaptionText(join(folder, caption))).trim() });
    } catch (error) {
      const reason = `${caption} cannot be read: ${(error as Error).message}`;
      skipped.push({ path: imagePath, reason });
    }
  }
  return { records, skipped };
}

/** Files of captions by their names without the ending. */
function captionFiles(names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const ending of CAPTION_ENDINGS) {
    for (const name of names) {
      const stem = name.slice(0, -ending.length);
      if (name.toLowerCase().endsWith(ending) && !found.has(stem)) found.set(stem, name);
    }
  }
  return found;
}

function isImage(name: string): boolean {
  return IMAGE_ENDINGS.includes(extname(name).toLowerCase());
}

async function countImages(folder: string): Promise<number> {
  let images = 0;
  for await (const { name } of Deno.readDir(folder)) if (isImage(name)) images++;
  return images;
}

/** Trainers of LoRAs read folders such as `10_cat` and repeat what is in them. */
function folderReason(images: number): string {
  return `folders in folders are not read, and no picture is repeated: name this one as --data for its ${images} images`;
}

async function readLines(file: string): Promise<DataRecords> {
  const records: DataRecord[] = [];
  const content = await readCaptionText(file).catch((cause) => {
    throw new FormatError(`Cannot read the captions of ${show(file)}: ${cause.message}`, { cause });
  });
  for (const [i, line] of content.split("\n").entries()) {
    if (line.trim() === "") continue;
    const { image, text } = parseLine(file, i + 1, line);
    records.push({ imagePath: resolve(file, "..", image), text });
  }
  return { records, skipped: [] };
}

function parseLine(file: string, line: number, json: string): { image: string; text: string } {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Told below, as any other line that is no record.
  }
  const { image_file, file_name, text } = (value ?? {}) as Record<string, unknown>;
  const image = image_file ?? file_name;
  if (typeof image === "string" && typeof text === "string") return { image, text };
  throw new FormatError(
    `${file}:${line}: Training data must be JSON lines {"image_file": ..., "text": ...}: ` +
      `current line is ${show(json.slice(0, 200))}`,
    { details: { file, line: String(line) } },
  );
}
