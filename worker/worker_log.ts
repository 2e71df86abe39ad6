/**
 * What a worker logs about its work: sessions, refusals, failures, drain. Of requests only sizes and names appear; why a
 * call failed is told in full only where it was the worker's own fault, for other messages quote what clients sent.
 *
 * @module
 */

import { TuttiError } from "../shared/errors.ts";
import { roleLogger } from "../shared/telemetry/logging.ts";
import { SparseLines } from "../shared/telemetry/sparse_lines.ts";
import type { SessionTicket } from "./admission/session_ticket.ts";
import { outcomeOf } from "./metrics/outcome.ts";

/** Who asked. */
export interface Caller {
  readonly peer: string;
  readonly session?: string | undefined;
  readonly job?: string | undefined;
}

export class WorkerLog {
  readonly #logger = roleLogger("worker");
  readonly #sparse = new SparseLines();

  sessionOpened(ticket: SessionTicket): void {
    const { batch, height, width, timesteps, arenaBytes } = ticket.summary();
    this.#logger.info("session opened", {
      ...callerOf(ticket),
      ...{ batch, height, width, timesteps, arenaBytes },
    });
  }

  /** @param error what ended it, unless its client closed it */
  sessionClosed(ticket: SessionTicket, blocks: number, error?: unknown): void {
    const { plane = "grpc", stepIndex, ageSeconds } = ticket.summary();
    this.#logger.info("session closed", {
      ...callerOf(ticket),
      ...{ plane, blocks, lastStep: stepIndex, ms: Math.round(ageSeconds * 1000) },
      ...(error === undefined ? { outcome: "ok" } : outcomeOf(error)),
    });
  }

  /** Of a call or a session's command that came to nothing; a client can make any number of those. */
  failed(method: string, error: unknown, caller: Caller): void {
    const { outcome, reason } = outcomeOf(error);
    const { code, message, details } = TuttiError.from(error);
    const { limit, asked, left, retry_after_ms: retryAfterMs } = details;
    this.#sparse.tell(`${method} ${outcome} ${reason}`, (leftOut) => {
      const more = leftOut > 0 ? { leftOut } : {};
      if (outcome === "rejected") {
        const refusal = { limit, asked, left, retryAfterMs };
        this.#logger.info("refused", { method, ...caller, code, ...refusal, ...more });
        return;
      }
      const why = outcome === "compute_failed" ? { error: message } : {};
      this.#logger.info("call failed", {
        method,
        ...caller,
        code,
        outcome,
        reason,
        ...why,
        ...more,
      });
    });
  }

  /** With what it took. */
  called(method: string, ms: number, { peer }: Caller): void {
    this.#logger.debug("call", { method, peer, ms: Math.round(ms) });
  }

  drainBegan(limitMs: number, sessions: number): void {
    this.#logger.info("drain began", { limitMs, sessions });
  }

  /** @param sessions that were still open, and were cut off */
  drainEnded(ms: number, sessions: number): void {
    this.#logger.info("drain ended", { ms: Math.round(ms), cutOff: sessions });
  }
}

function callerOf(ticket: SessionTicket): Caller {
  const { sessionId: session, peer } = ticket.summary();
  return { session, job: ticket.job, peer };
}
