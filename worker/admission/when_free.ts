/**
 * When there may be room again, from what runs now: sessions end in the order of their estimated ends, each makes room
 * for as many bytes as it holds, and who waits longer is served first.
 *
 * @module
 */

/** Sessions and bytes. */
export interface Room {
  readonly sessions: number;
  readonly bytes: number;
}

/** A session's end, and how long until it is expected. */
export interface Ending {
  readonly bytes: number;
  readonly remainingMs: number;
}

/**
 * @param needed beyond what is free now
 * @returns milliseconds until so much has become free. If even the end of all that runs is not enough, those that come
 * after are taken to need as long for as much.
 */
export function whenFreeMs(endings: readonly Ending[], needed: Room): number {
  const sorted = [...endings].sort((a, b) => a.remainingMs - b.remainingMs);
  let sessions = 0, bytes = 0, afterMs = 0;
  for (const ending of sorted) {
    if (sessions >= needed.sessions && bytes >= needed.bytes) return afterMs;
    sessions++;
    bytes += ending.bytes;
    afterMs = ending.remainingMs;
  }
  return afterMs * Math.max(1, ratio(needed.sessions, sessions), ratio(needed.bytes, bytes));
}

function ratio(needed: number, freed: number): number {
  return freed === 0 ? 1 : needed / freed;
}
