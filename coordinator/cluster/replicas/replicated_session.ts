/**
 * A session that outlives its worker. It keeps what it was given in the step that runs; when a worker is lost, another one
 * gets the session, what later blocks need of the step, and the range that was under way. The bits are the same.
 *
 * @module
 */

import type {
  ExpertSession,
  ForwardRange,
  ForwardResult,
  SessionBackward,
  SessionConfig,
  SessionGradients,
} from "../../../shared/engine/expert.ts";
import { arenaLayout } from "../../../shared/engine/session_arena.ts";
import { throwIfAborted, TuttiError } from "../../../shared/errors.ts";
import { BACKWARD_DEADLINE_MS, BLOCK_DEADLINE_MS } from "../deadlines.ts";
import { attempt } from "./attempt.ts";
import { KeptInputs } from "./kept_inputs.ts";
import type { Loss } from "./loss.ts";
import { replay } from "./replay.ts";
import type { ReplicaPool } from "./replica_pool.ts";
import { ReplicaSearch, type ReplicaUse } from "./replica_search.ts";

/** A session on one replica. */
interface Lease extends ReplicaUse {
  readonly session: ExpertSession;
}

/** What is to be done with whichever session there is. */
interface Work<T> {
  readonly range: Omit<ForwardRange, "hiddenStates">;
  readonly kind: "forward" | "backward";
  readonly longestMs: number;
  readonly run: (session: ExpertSession, signal: AbortSignal) => Promise<T>;
}

/** What was lost, for the event that tells how it was replaced. */
interface Lost {
  readonly from: string;
  readonly loss: Loss;
  readonly detectMs: number;
  readonly at: number;
}

interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onClose?: () => void;
}

export class ReplicatedSession implements ExpertSession {
  readonly #pool: ReplicaPool;
  readonly #config: SessionConfig;
  readonly #kept: KeptInputs;
  readonly #onClose: (() => void) | undefined;
  #lease: Lease | undefined;
  #isRunning = false;
  #isClosed = false;

  private constructor(pool: ReplicaPool, config: SessionConfig, onClose?: () => void) {
    this.#onClose = onClose;
    this.#pool = pool;
    this.#config = config;
    const { blocks } = pool.description;
    this.#kept = new KeptInputs(blocks, arenaLayout(blocks, config).inputs);
  }

  /** @throws {TuttiError} what a replica refused, or UNAVAILABLE if there is none */
  static async open(
    pool: ReplicaPool,
    config: SessionConfig,
    { signal, onClose }: OpenOptions = {},
  ): Promise<ReplicatedSession> {
    throwIfAborted(signal);
    const session = new ReplicatedSession(pool, config, onClose);
    const search = new ReplicaSearch(pool, { signal });
    for (;;) if (await session.#open(search, signal)) return session;
  }

  /** Memory of this process: what lies there is still there when the worker is not. */
  inputBuffer({ first }: Omit<ForwardRange, "hiddenStates">) {
    return this.#kept.buffer(first);
  }

  async forward(range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult> {
    throwIfAborted(signal);
    const kept = this.#kept.keep(range);
    const { hiddenStates } = kept;
    const result = await this.#alone({
      range,
      kind: "forward",
      longestMs: BLOCK_DEADLINE_MS,
      run: (session, signal) => session.forward({ ...range, hiddenStates }, signal),
    }, signal);
    this.#kept.ran(kept);
    return result;
  }

  async backward(range: SessionBackward, signal?: AbortSignal): Promise<SessionGradients> {
    throwIfAborted(signal);
    const kept = this.#kept.keepGradient(range);
    const gradients = await this.#alone({
      range,
      kind: "backward",
      longestMs: BACKWARD_DEADLINE_MS,
      run: (session, signal) => session.backward!(kept, signal),
    }, signal);
    this.#kept.wentBack(kept);
    return gradients;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#onClose?.();
    const lease = this.#lease;
    this.#lease = undefined;
    if (!lease) return;
    // On a worker that does not answer, closing takes as long as it may.
    if (lease.link.lost.aborted) return this.#drop(lease);
    await lease.session.close();
    lease[Symbol.dispose]();
  }

  /** Two ranges at once would take each other's replica. */
  async #alone<T>(work: Work<T>, signal: AbortSignal | undefined): Promise<T> {
    const { first, last } = work.range;
    if (this.#isClosed) throw new TuttiError("FAILED_PRECONDITION", "The session is closed");
    if (this.#isRunning) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `A session takes one range at a time: ${first}..${last} came before the last one ended`,
        { details: { block: first } },
      );
    }
    this.#isRunning = true;
    try {
      return await this.#carryOut(work, signal);
    } finally {
      this.#isRunning = false;
    }
  }

  /** On the replica there is, or on the next ones. */
  async #carryOut<T>(
    { range: { first, last, stepIndex }, kind, longestMs, run }: Work<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const { batch, height, width } = this.#config;
    const place = { block: first, stepIndex };
    const search = new ReplicaSearch(this.#pool, { place, signal, waitsForRoom: true });
    let lost: Lost | undefined;
    for (;;) {
      const isThere = this.#lease !== undefined ||
        await this.#open(search, signal, lost && { ...lost, ...place });
      const lease = this.#lease;
      if (!isThere || !lease) continue;
      const outcome = await attempt({
        pool: this.#pool,
        use: lease,
        work: `${kind} ${first}..${last} ${batch}x${height}x${width}`,
        longestMs,
        patience: search.patience,
        signal,
        run: (signal) => run(lease.session, signal),
      });
      if ("answer" in outcome) return outcome.answer;
      const { loss, detectMs } = outcome;
      lost ??= { from: lease.replica.address, loss, detectMs, at: performance.now() };
      this.#drop(lease);
      search.lost(lease, loss, detectMs);
    }
  }

  /**
   * Opens the session on the next replica, and brings it to where the step stands.
   *
   * @returns whether it did
   * @throws {TuttiError} what no other replica would change
   */
  async #open(
    search: ReplicaSearch,
    signal: AbortSignal | undefined,
    lost?: Lost & { readonly block: string; readonly stepIndex: number },
  ): Promise<boolean> {
    const use = await search.next({ asksAll: true });
    const pool = this.#pool;
    const { keepInputs = false } = this.#config;
    const outcome = await attempt({
      ...{ pool, use, signal },
      run: async (signal) => {
        // A worker that drains keeps a session that has nowhere to go.
        const canMove = pool.hasSpare(use.replica);
        const config = { ...this.#config, canMove };
        const session = await use.link.connection.expert.openSession(config, signal);
        const lease = { ...use, session };
        try {
          const { blocks } = pool.description;
          const replayed = await replay(session, blocks, this.#kept, { keepInputs, signal });
          return { lease, replayed };
        } catch (error) {
          pool.closeLater(session);
          throw error;
        }
      },
    }).catch((error) => {
      use[Symbol.dispose]();
      throw error;
    });
    if (!("answer" in outcome)) {
      use[Symbol.dispose]();
      search.lost(use, outcome.loss, outcome.detectMs);
      return false;
    }
    const { lease, replayed } = outcome.answer;
    this.#lease = lease;
    if (lost) {
      const { from, loss, detectMs, at, block, stepIndex } = lost;
      pool.emit({
        ...{ kind: "failover", expert: pool.name, from, worker: lease.replica.address },
        ...{ reason: loss.reason, detectMs, replayMs: performance.now() - at },
        ...{ ...replayed, block, stepIndex },
      });
    }
    return true;
  }

  #drop(lease: Lease): void {
    this.#lease = undefined;
    lease[Symbol.dispose]();
    this.#pool.closeLater(lease.session);
  }
}
