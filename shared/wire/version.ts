/**
 * Which Tutti this is, and which revisions of the worker protocol it speaks.
 *
 * @module
 */

import project from "../../deno.json" with { type: "json" };

/** This build's own version, from `deno.json`. */
export const TUTTI_VERSION: string = project.version;

export interface ProtocolRange {
  readonly min: number;
  readonly max: number;
}

/**
 * Revisions of `proto/tutti/v1` that this build understands. `max` grows with every change that an older
 * peer would misread; `min` grows when support for an old one ends.
 */
export const PROTOCOL: ProtocolRange = { min: 2, max: 2 };

/** The highest revision that both ends understand, or `undefined` if there is none. */
export function commonProtocol(a: ProtocolRange, b: ProtocolRange): number | undefined {
  const highest = Math.min(a.max, b.max);
  return highest >= Math.max(a.min, b.min) ? highest : undefined;
}

/** `1` or `1..3`: how messages spell a range. */
export function formatProtocol({ min, max }: ProtocolRange): string {
  return min === max ? `${min}` : `${min}..${max}`;
}
