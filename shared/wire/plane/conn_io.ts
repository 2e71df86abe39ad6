/**
 * Whole reads and writes on a connection, and the rule for its end: whoever notices an error closes the connection, for
 * nothing says any more where in the stream the other end is.
 *
 * @module
 */

import { throwIfAborted, TuttiError } from "../../errors.ts";
import { PlaneError } from "./plane_error.ts";

/** Fills `target`. */
export async function readFully(conn: Deno.Conn, target: Uint8Array): Promise<void> {
  for (let filled = 0; filled < target.length;) {
    filled += await readSome(conn, target.subarray(filled));
  }
}

/** @returns bytes read, at least 1 unless there is no room */
export async function readSome(conn: Deno.Conn, target: Uint8Array): Promise<number> {
  const count = await conn.read(target);
  if (count === null) throw new PlaneError("UNAVAILABLE", "The other end of the plane is gone");
  return count;
}

export async function writeFully(conn: Deno.Conn, source: Uint8Array): Promise<void> {
  for (let written = 0; written < source.length;) {
    written += await conn.write(source.subarray(written));
  }
}

/**
 * Runs what talks over a connection, and closes it if that fails or is cancelled.
 *
 * @throws {TuttiError} CANCELLED if the signal fires first, UNAVAILABLE if the connection breaks, else what `talk` throws
 */
export async function closingOnError<T>(
  conn: Deno.Conn,
  signal: AbortSignal | undefined,
  talk: () => Promise<T>,
): Promise<T> {
  const close = () => closeConn(conn);
  signal?.addEventListener("abort", close);
  try {
    throwIfAborted(signal);
    return await talk();
  } catch (error) {
    close();
    if (error instanceof TuttiError) throw error;
    throwIfAborted(signal);
    throw connError(error, "The plane's connection broke");
  } finally {
    signal?.removeEventListener("abort", close);
  }
}

/** May be called again. */
export function closeConn(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}

export function connError(error: unknown, what: string): PlaneError {
  const reason = error instanceof Error ? error.message : String(error);
  return new PlaneError("UNAVAILABLE", `${what}: ${reason}`, { cause: error });
}
