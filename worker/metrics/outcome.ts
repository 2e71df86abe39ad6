/**
 * How a call or a command ended, in few words: labels of metrics must not grow with what clients send.
 *
 * @module
 */

import { type Code, TuttiError } from "../../shared/errors.ts";

export interface Outcome {
  readonly outcome: OutcomeName;
  /** Of a rejection, the limit; of `unavailable`, the worker's state; of a lost plane, its kind; else the error's code. */
  readonly reason: string;
}

export type OutcomeName =
  | "ok"
  | "rejected"
  | "cancelled"
  | "deadline"
  | "bad_request"
  | "unauthenticated"
  | "unavailable"
  | "plane_lost"
  | "compute_failed";

const OUTCOME_BY_CODE: Readonly<Record<Code, OutcomeName>> = {
  CANCELLED: "cancelled",
  UNKNOWN: "compute_failed",
  INVALID_ARGUMENT: "bad_request",
  DEADLINE_EXCEEDED: "deadline",
  NOT_FOUND: "bad_request",
  ALREADY_EXISTS: "bad_request",
  PERMISSION_DENIED: "unauthenticated",
  RESOURCE_EXHAUSTED: "rejected",
  FAILED_PRECONDITION: "bad_request",
  ABORTED: "bad_request",
  OUT_OF_RANGE: "bad_request",
  UNIMPLEMENTED: "bad_request",
  INTERNAL: "compute_failed",
  UNAVAILABLE: "unavailable",
  DATA_LOSS: "compute_failed",
  UNAUTHENTICATED: "unauthenticated",
};

/** Names of limits, states and planes are our own words; whatever else a detail may hold is no label. */
const WORD = /^[a-z_]{1,40}$/;

export const OK: Outcome = { outcome: "ok", reason: "" };

export function outcomeOf(error: unknown): Outcome {
  const { code, details } = TuttiError.from(error);
  if (details.planeState === "lost") return named("plane_lost", details.plane, code);
  const outcome = OUTCOME_BY_CODE[code];
  if (outcome === "rejected") return named(outcome, details.limit, code);
  if (outcome === "unavailable") return named(outcome, details.state, code);
  return named(outcome, undefined, code);
}

function named(outcome: OutcomeName, word: string | undefined, code: Code): Outcome {
  const isWord = word !== undefined && WORD.test(word);
  return { outcome, reason: isWord ? word : code.toLowerCase() };
}
