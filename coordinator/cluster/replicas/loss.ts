/**
 * Which errors mean that another replica may do better. Decided by code and details, never by text: what the request itself
 * is wrong in, what the numbers are wrong in, and what the user cancelled, no replica changes.
 *
 * @module
 */

import { TuttiError } from "../../../shared/errors.ts";

/** For metrics, as a label. */
export const LOSS_REASONS = [
  /** The connection broke, or cannot be made: killed, cut off. */
  "connection",
  /** The process answers nothing any more: frozen, half-open link. */
  "silent",
  /** It answers, but a command to it or an answer of it was lost on the way: a bit of HTTP/2's framing was turned. */
  "stalled",
  /** It answers, but took too long for its work. */
  "deadline",
  /** It says that it takes no work now: loading, draining, stopping. */
  "unavailable",
  /** It has no room for another session or call. */
  "full",
  /** Feature maps do not get through; commands may. */
  "plane",
  /** It failed in its own way: a broken lane, an answer that makes no sense. */
  "broken",
  /** Another model, or other bits, at the same address. */
  "identity",
] as const;

export type LossReason = typeof LOSS_REASONS[number];

/** Limits of a worker that other sessions and calls use up, also where it does not say when to ask again. */
const SHARED_LIMITS: ReadonlySet<string | undefined> = new Set([
  "arena_bytes",
  "max_calls",
  "max_sessions",
]);

/** Why a worker is not used any longer. */
export class Loss {
  readonly reason: LossReason;
  readonly error: TuttiError;

  constructor(reason: LossReason, error: TuttiError) {
    this.reason = reason;
    this.error = error;
  }

  /** @returns undefined for an error that every replica would give */
  static of(error: unknown): Loss | undefined {
    if (!(error instanceof TuttiError)) return undefined;
    const reason = reasonOf(error);
    return reason && new Loss(reason, error);
  }

  /** Of finding out whether a worker is there, and who it is: every failure is one. */
  static ofConnecting(error: unknown): Loss {
    return Loss.of(error) ?? new Loss("identity", TuttiError.from(error));
  }

  /** Whether the whole worker is gone, and not only this piece of work. */
  get isOfWorker(): boolean {
    return ["connection", "silent", "stalled", "identity"].includes(this.reason);
  }
}

function reasonOf(error: TuttiError): LossReason | undefined {
  const { code, details } = error;
  if (details.planeState === "lost" || details.state === "damaged") return "plane";
  switch (code) {
    case "UNAVAILABLE":
      if (details.state === "silent" || details.state === "stalled") return details.state;
      return details.state === undefined ? "connection" : "unavailable";
    case "DEADLINE_EXCEEDED":
      return "deadline";
    case "RESOURCE_EXHAUSTED":
      // What never fits has no time after which to ask again.
      return SHARED_LIMITS.has(details.limit) || details.retry_after_ms !== undefined
        ? "full"
        : undefined;
    case "INTERNAL":
    case "UNKNOWN":
      return "broken";
    case "FAILED_PRECONDITION":
      return details.field === "model_hash" ? "identity" : undefined;
    default:
      return undefined;
  }
}
