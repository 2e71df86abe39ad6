/**
 * What a client hears for whom there is no room: the limit, what was asked and left, and after how long it may be worth
 * while to ask again. The same facts for sessions and for single calls.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";

/** What is short. */
export interface Shortage {
  /** As in the protocol's Limits. */
  readonly limit: string;
  readonly asked: number;
  readonly left: number;
  /** Of both numbers, for people: `sessions`. */
  readonly unit: string;
}

/** @param retryAfterMs an estimate; left out for what never fits */
export function shortageError(
  { limit, asked, left, unit }: Shortage,
  retryAfterMs?: number,
): TuttiError {
  const again = retryAfterMs === undefined
    ? ""
    : `. Room is expected in ${(retryAfterMs / 1000).toFixed(1)} s`;
  return new TuttiError(
    "RESOURCE_EXHAUSTED",
    `The worker has no room for this session: ${asked} ${unit} were asked for, ${left} are left${again}`,
    { details: { limit, asked: String(asked), left: String(left), ...retryAfter(retryAfterMs) } },
  );
}

/** The detail that tells when to ask again: at least 1 ms, for what is about to happen. */
export function retryAfter(ms: number | undefined): { readonly retry_after_ms?: string } {
  return ms === undefined ? {} : { retry_after_ms: String(Math.max(1, Math.ceil(ms))) };
}
