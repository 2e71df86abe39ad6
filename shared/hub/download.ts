/**
 * One file from a hub to this disk: in ranges, so that a connection that breaks costs nothing, under a name of its own until
 * it is whole and its hash is right.
 *
 * @module
 */

import { createHash, type Hash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { TuttiError } from "../errors.ts";
import { tryLockFile } from "../lock_file.ts";
import { formatBytes } from "../terminal/units.ts";
import { ask, BusyError } from "./ask.ts";
import type { TokenFor } from "./tokens.ts";

export interface Download {
  readonly url: string;
  /** Where it goes; its folder exists. */
  readonly path: string;
  /** For messages. */
  readonly name: string;
  /** As far as the hub has told. */
  readonly bytes?: number;
  /** What it must hash to, hex: SHA-256, or git's SHA-1 of a blob. */
  readonly hash?: string;
  /** Sent with a range, so that a file that has changed meanwhile comes whole; without it and a hash nothing is resumed. */
  readonly etag?: string;
  readonly tokenFor: TokenFor;
  /** Told how much is there, of how much. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
  /** Waits; tests pass their own. */
  readonly pause: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly signal?: AbortSignal;
}

/** Tries in a row that bring nothing. */
const MAX_TRIES = 5;
const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 60_000;
/** Ranges are of the file, and not of something packed. */
const AS_IT_IS = { "accept-encoding": "identity" };
/** Read at a time of what is there already. */
const CHUNK_BYTES = 1 << 20;

/**
 * @returns SHA-256 of the file, hex
 * @throws {TuttiError} UNAVAILABLE once tries are used up, and what came is kept; DATA_LOSS on a wrong hash, and nothing is kept
 */
export async function download(request: Download): Promise<string> {
  const { path, name, hash, pause, signal } = request;
  const incomplete = `${path}.incomplete`;
  using file = await lock(incomplete, name);
  if (hash === undefined && request.etag === undefined) await file.truncate(0);
  for (let tries = 1;; tries++) {
    const before = (await file.stat()).size;
    try {
      await fetchRest(request, file);
      break;
    } catch (error) {
      const { size } = await file.stat();
      if (!(error instanceof BusyError)) throw error;
      if (size > before) tries = 1;
      if (tries >= MAX_TRIES) {
        throw new TuttiError(
          "UNAVAILABLE",
          `${error.message}. ${
            formatBytes(size)
          } of ${name} are kept: the same command goes on there`,
          { cause: error },
        );
      }
      await pause(
        Math.min(error.waitMs ?? FIRST_PAUSE_MS * 2 ** (tries - 1), MAX_PAUSE_MS),
        signal,
      );
    }
  }
  const sha256 = await verify(request, file, incomplete);
  await file.syncData();
  await Deno.rename(incomplete, path);
  return sha256;
}

async function lock(incomplete: string, name: string): Promise<Deno.FsFile> {
  const file = await tryLockFile(incomplete);
  if (file) return file;
  throw new TuttiError("FAILED_PRECONDITION", `Another process is getting ${name}: wait for it`);
}

/** Appends what is missing. */
async function fetchRest(request: Download, file: Deno.FsFile): Promise<void> {
  const { url, etag, tokenFor, onProgress, signal } = request;
  let { size } = await file.stat();
  if (request.bytes !== undefined && size === request.bytes) return;
  if (request.bytes !== undefined && size > request.bytes) await file.truncate(size = 0);
  const range = size === 0
    ? {}
    : { range: `bytes=${size}-`, ...(etag !== undefined && { "if-range": etag }) };
  const response = await ask({
    ...{ url, tokenFor, headers: { ...AS_IT_IS, ...range } },
    ...(signal && { signal }),
  });
  const { status, body } = response;
  if (status === 416) {
    // More is here than there: what is here is of another file.
    await body?.cancel();
    await file.truncate(0);
    throw new BusyError(`${request.name} has changed while it came`);
  }
  if (isWebPage(response)) {
    await body?.cancel();
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `"${request.name}" is a web page and not a file: give the address that its download link has`,
    );
  }
  const [begin, total] = rangeOf(response);
  if (begin !== size) await file.truncate(size = 0);
  if (begin > 0 && size === 0) {
    await body?.cancel();
    throw new BusyError(`${request.name} came from byte ${begin}, which nobody asked for`);
  }
  await checkRoom(request, total === undefined ? 0 : total - size);
  await file.seek(size, Deno.SeekMode.Start);
  onProgress?.(size, total ?? request.bytes);
  try {
    for await (const chunk of body ?? []) {
      await append(file, chunk, request.name);
      size += chunk.length;
      onProgress?.(size, total ?? request.bytes);
    }
  } catch (cause) {
    if (signal?.aborted) throw new TuttiError("CANCELLED", "The operation was cancelled");
    if (cause instanceof TuttiError) throw cause;
    throw new BusyError(`The connection broke: ${(cause as Error).message}`, undefined, cause);
  }
  const wanted = total ?? request.bytes;
  if (wanted !== undefined && size < wanted) {
    throw new BusyError(`The connection ended after ${size} of ${wanted} bytes`);
  }
}

async function append(file: Deno.FsFile, chunk: Uint8Array, name: string): Promise<void> {
  try {
    for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
  } catch (cause) {
    const why = (cause as Error).message;
    throw new TuttiError("RESOURCE_EXHAUSTED", `Cannot write ${name}: ${why}`, { cause });
  }
}

/** First byte of the answer, and bytes of the whole file. */
function rangeOf({ status, headers }: Response): [begin: number, total: number | undefined] {
  if (status === 206) {
    const [, begin, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "") ??
      [];
    return [Number(begin ?? 0), total === undefined ? undefined : Number(total)];
  }
  const length = headers.get("content-length");
  // What is unpacked on the way is not as long as it says.
  return [0, length === null || headers.has("content-encoding") ? undefined : Number(length)];
}

function isWebPage({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/html") ?? false;
}

async function checkRoom({ path, name }: Download, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(path));
  if (bytes <= bavail * bsize) return;
  throw new TuttiError(
    "RESOURCE_EXHAUSTED",
    `The rest of ${name} needs ${formatBytes(bytes)}: ${formatBytes(bavail * bsize)} are free in "${
      dirname(path)
    }"`,
  );
}

/** Reads the whole file once more: what lies on the disk counts, also what came days ago. */
async function verify(
  { name, hash }: Download,
  file: Deno.FsFile,
  incomplete: string,
): Promise<string> {
  const { size } = await file.stat();
  const sha256 = createHash("sha256");
  const hashes: Hash[] = [sha256];
  const isGit = hash?.length === 40;
  if (isGit) hashes.push(createHash("sha1").update(`blob ${size}\0`));
  await file.seek(0, Deno.SeekMode.Start);
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let count; (count = await file.read(chunk)) !== null;) {
    for (const each of hashes) each.update(chunk.subarray(0, count));
  }
  const digests = hashes.map((each) => each.digest("hex"));
  if (hash === undefined || hash === digests.at(-1)) return digests[0]!;
  await Deno.remove(incomplete);
  throw new TuttiError(
    "DATA_LOSS",
    `${name} must have the ${isGit ? "git hash" : "SHA-256"} ${hash}: what came has ${
      digests.at(-1)
    }, and is removed. Try again; if that repeats, the file was changed on its way or at its source`,
  );
}
