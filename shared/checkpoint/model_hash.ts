/**
 * SHA-256 of weight files: who a model is, on every machine. Hashing gigabytes takes seconds, so results
 * are kept in the user's cache folder under the file's identity (real path, size, time of change, inode).
 *
 * @module
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { WeightTable } from "../models/weights.ts";
import { readRegularText } from "../regular_file.ts";
import { FileStamps } from "../weight_file/file_stamps.ts";
import { writeWholeFile } from "../whole_file.ts";

/** Read size while hashing; larger ones are not faster. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** The weight files behind the parts of a model, each once. */
export function weightPaths(...tables: readonly WeightTable[]): string[] {
  return [...new Set(tables.flatMap((table) => [...table.values()].map(({ path }) => path)))];
}

/** SHA-256 of one file's bytes, hex; the hash that other tools show the first ten digits of. */
export function fileHash(path: string): Promise<string> {
  return hashFrom(path, 0);
}

/** SHA-256 of a file's bytes from `start` on, hex: for LoRAs, other tools leave out the header, which they rewrite. */
export async function hashFrom(path: string, start: number): Promise<string> {
  return await cachedHash([path], [start], async () => {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path, { start, highWaterMark: CHUNK_BYTES })) {
      hash.update(chunk);
    }
    return hash.digest("hex");
  });
}

/**
 * A hash of files' contents that is computed once, until one of the files changes.
 *
 * @param facts what else it follows from
 * @throws {TuttiError} FAILED_PRECONDITION if a file changes while it is hashed
 */
export async function cachedHash(
  paths: readonly string[],
  facts: readonly (string | number)[],
  compute: () => Promise<string>,
): Promise<string> {
  const stamps = FileStamps.of(await Promise.all(paths.map((path) => Deno.realPath(path))));
  const identity = [...stamps.identity, ...facts].join("\0");
  const key = createHash("sha256").update(identity).digest("hex");
  const known = await readCache(key);
  if (known) return known;
  const digest = await compute();
  stamps.check();
  await writeCache(key, digest);
  return digest;
}

/**
 * One hash for all files of a model: a single file's own; for several, of their hashes. File names do not count: in
 * Hugging Face's cache a file is called by its hash, elsewhere by its part.
 */
export async function modelHash(paths: readonly string[]): Promise<string> {
  const hashes = await Promise.all(paths.map(fileHash));
  if (hashes.length === 1) return hashes[0]!;
  return createHash("sha256").update(hashes.sort().join("\n")).digest("hex");
}

/** Where hashes are kept; undefined where the environment does not even name a home. */
export function cacheFolder(): string | undefined {
  const home = Deno.env.get("XDG_CACHE_HOME") ??
    (Deno.env.has("HOME") ? join(Deno.env.get("HOME")!, ".cache") : undefined);
  return home && join(home, "tutti", "hashes");
}

async function readCache(key: string): Promise<string | undefined> {
  const folder = cacheFolder();
  if (!folder) return undefined;
  try {
    const text = await readRegularText(join(folder, key));
    return /^[0-9a-f]{64}$/.test(text) ? text : undefined;
  } catch {
    return undefined; // No entry, or a cache that cannot be read: hash again.
  }
}

async function writeCache(key: string, digest: string): Promise<void> {
  const folder = cacheFolder();
  if (!folder) return;
  try {
    await Deno.mkdir(folder, { recursive: true });
    await writeWholeFile(join(folder, key), digest);
  } catch {
    // A cache that cannot be written costs time on the next start, nothing else.
  }
}
