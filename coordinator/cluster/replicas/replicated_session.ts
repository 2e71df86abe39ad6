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
import { OneRange } from "../../../shared/engine/one_range.ts";
import { type ArenaLayout, arenaLayout, type Slot } from "../../../shared/engine/session_arena.ts";
import { throwIfAborted, TuttiError } from "../../../shared/errors.ts";
import { blockIndex } from "../../../shared/models/blocks.ts";
import { elementCount } from "../../../shared/tensor/tensor.ts";
import { backwardContext, forwardContext } from "../call_errors.ts";
import { BACKWARD_DEADLINE_MS, BLOCK_DEADLINE_MS } from "../deadlines.ts";
import { attempt, type Outcome } from "./attempt.ts";
import { hedgedAttempt } from "./hedged_attempt.ts";
import { KeptInputs } from "./kept_inputs.ts";
import type { Loss } from "./loss.ts";
import { replay, type Replayed, restoringRanges } from "./replay.ts";
import type { Replica } from "./replica.ts";
import type { JobSession, ReplicaPool } from "./replica_pool.ts";
import { ReplicaSearch } from "./replica_search.ts";
import { type Lease, SpareSession } from "./spare_session.ts";

type Answer =
  & Pick<ForwardResult, "computeMs" | "queueMs" | "travel">
  & Partial<Pick<ForwardResult, "loadMs">>;

/** What is to be done with whichever session there is. */
interface Work<T extends Answer> {
  readonly range: Omit<ForwardRange, "hiddenStates">;
  readonly kind: "forward" | "backward";
  readonly longestMs: number;
  readonly run: (session: ExpertSession, signal: AbortSignal) => Promise<T>;
}

/** What was lost, for the event that tells how it was replaced. */
interface Lost {
  readonly replica: Replica;
  readonly loss: Loss;
  readonly detectMs: number;
  readonly at: number;
}

interface LostRange extends Lost {
  readonly block: string;
  readonly stepIndex: number;
}

interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onClose?: () => void;
}

export class ReplicatedSession implements ExpertSession, JobSession {
  readonly #pool: ReplicaPool;
  readonly #config: SessionConfig;
  readonly #layout: ArenaLayout;
  readonly #kept: KeptInputs;
  readonly #onClose: (() => void) | undefined;
  /** Of a session that asks a second replica when the first takes longer than usual. */
  readonly #spare: SpareSession | undefined;
  #lease: Lease | undefined;
  readonly #ranges = new OneRange();
  #isClosed = false;

  private constructor(pool: ReplicaPool, config: SessionConfig, onClose?: () => void) {
    this.#onClose = onClose;
    this.#pool = pool;
    this.#config = config;
    // One that keeps inputs could only be caught up with by computing the whole step again.
    this.#spare = pool.hedge && !config.keepInputs ? new SpareSession(pool, config) : undefined;
    const { blocks } = pool.description;
    this.#layout = arenaLayout(blocks, config);
    this.#kept = new KeptInputs(blocks, this.#layout.inputs);
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
    pool.sessions.add(session);
    try {
      for (;;) if (await session.#open(search, signal)) return session;
    } catch (error) {
      pool.sessions.delete(session);
      throw error;
    }
  }

  get job(): string | undefined {
    return this.#config.job;
  }

  get isHomeless(): boolean {
    return this.#lease === undefined || this.#lease.link.lost.aborted;
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
    this.#pool.sessions.delete(this);
    this.#onClose?.();
    this.#spare?.close();
    const lease = this.#lease;
    this.#lease = undefined;
    if (!lease) return;
    // On a worker that does not answer, closing takes as long as it may.
    if (lease.link.lost.aborted) return this.#end(lease);
    await lease.session.close();
    lease[Symbol.dispose]();
  }

  #alone<T extends Answer>(work: Work<T>, signal: AbortSignal | undefined): Promise<T> {
    if (this.#isClosed) throw new TuttiError("FAILED_PRECONDITION", "The session is closed");
    return this.#ranges.alone(work.range, () => this.#carryOut(work, signal));
  }

  /** On the replica there is, or on the next ones. */
  async #carryOut<T extends Answer>(work: Work<T>, signal: AbortSignal | undefined): Promise<T> {
    const { first, stepIndex } = work.range;
    const place = { block: first, stepIndex };
    const search = new ReplicaSearch(this.#pool, { place, signal, waitsForRoom: true });
    let lost: Lost | undefined;
    for (;;) {
      const isThere = this.#lease !== undefined ||
        await this.#open(search, signal, lost && { ...lost, ...place });
      const lease = this.#lease;
      if (!isThere || !lease) continue;
      const outcome = await this.#attempt(lease, work, search, signal);
      if ("answer" in outcome) return outcome.answer;
      const { loss, detectMs } = outcome;
      lost ??= { replica: lease.replica, loss, detectMs, at: performance.now() };
      this.#lease = undefined;
      this.#end(lease);
      search.lost(lease, loss, detectMs);
    }
  }

  /** On this replica; and on the spare if that takes longer than usual, where the session then goes on if it is first. */
  async #attempt<T extends Answer>(
    lease: Lease,
    work: Work<T>,
    search: ReplicaSearch,
    signal: AbortSignal | undefined,
  ): Promise<Outcome<T>> {
    const pool = this.#pool;
    const { kind, longestMs, range: { first, last, stepIndex } } = work;
    const { batch, height, width } = this.#config;
    const name = `${kind} ${first}..${last} ${batch}x${height}x${width}`;
    const contextOf = kind === "forward" ? forwardContext : backwardContext;
    const context = contextOf(first, last, stepIndex);
    // The gradients of skips come on top of those of inputs, and are as large.
    const bytes = (kind === "backward" ? 2 : 1) * this.#bytesOf(work.range);
    const on = (lease: Lease, signal: AbortSignal | undefined) => {
      const { id: sessionId } = lease.session;
      return attempt({
        ...{ pool, use: lease, work: name, longestMs, patience: search.patience, context, signal },
        awaits: sessionId === undefined ? undefined : { sessionId, bytes },
        run: (signal) => this.#measured(lease, work, signal),
      });
    };
    const spares = kind === "forward" ? this.#spare : undefined;
    const usualMs = spares && lease.replica.times.p99(name);
    if (!spares || usualMs === undefined) return await on(lease, signal);
    const result = await hedgedAttempt({
      ...{ pool, lease, spares, on, signal },
      afterMs: Math.max(pool.settings.hedgeFloorMs, usualMs),
      isCheap: () => restoringRanges(pool.description.blocks, this.#kept.ranges) !== undefined,
      catchUp: (session, signal) => this.#catchUp(session, signal),
    });
    const { replica: { address: worker } } = lease;
    const facts = { expert: pool.name, worker, block: first, stepIndex };
    if (result.by === "first") {
      const { outcome, spare } = result;
      if (spare) pool.emit({ ...facts, kind: "hedged", spare: spare.address, won: false });
      return outcome;
    }
    const { lease: next, answer, replayed, lost } = result;
    pool.emit({ ...facts, kind: "hedged", spare: next.replica.address, won: true });
    if (lost) {
      search.lost(lease, lost.loss, lost.detectMs);
      this.#tellFailover(
        { ...lost, replica: lease.replica, block: first, stepIndex },
        next,
        replayed,
      );
    }
    // Closed meanwhile, it has no use for another lease.
    if (this.#lease === lease) this.#lease = next;
    else this.#end(next);
    this.#end(lease);
    return { answer };
  }

  /** Learns how long its tensors are under way. */
  async #measured<T extends Answer>(
    { session, replica }: Lease,
    work: Work<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const start = performance.now();
    const answer = await work.run(session, signal);
    const { computeMs, queueMs, loadMs = 0, travel } = answer;
    const travelMs = performance.now() - start - computeMs - queueMs - loadMs;
    if (travel) replica.travelTimes.add(travel.sentBytes + travel.receivedBytes, travelMs);
    return answer;
  }

  /** Of the feature maps that a range takes and gives, or of their gradients, at most. */
  #bytesOf({ first, last }: Work<Answer>["range"]): number {
    const { blocks } = this.#pool.description;
    const { inputs, results } = this.#layout;
    const bytesOf = (slots: readonly Slot[], id: string) => {
      const slot = slots[blockIndex(blocks, id)];
      return slot ? elementCount(slot.shape) * Float32Array.BYTES_PER_ELEMENT : 0;
    };
    return bytesOf(inputs, first) + bytesOf(results, last);
  }

  /** Brings a session to where the step stands. */
  #catchUp(session: ExpertSession, signal: AbortSignal): Promise<Replayed> {
    const { keepInputs = false } = this.#config;
    return replay(session, this.#pool.description.blocks, this.#kept, { keepInputs, signal });
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
    lost?: LostRange,
  ): Promise<boolean> {
    const pool = this.#pool;
    const ready = lost && this.#spare?.takeOpened(lost.replica);
    const use = ready ?? await search.next({ asksAll: true });
    const outcome = await attempt({
      ...{ pool, use, signal },
      run: async (signal) => {
        // A worker that drains keeps a session that has nowhere to go.
        const canMove = pool.hasSpare(use.replica);
        // A lost worker takes all of a job's sessions there with it; those elsewhere need no room.
        const config = {
          ...{ ...this.#config, canMove },
          ...(lost && { jobSessions: Math.max(1, pool.homelessOf(this.job)) }),
        };
        const session = ready?.session ??
          await use.link.connection.expert.openSession(config, signal);
        try {
          return { lease: { ...use, session }, replayed: await this.#catchUp(session, signal) };
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
    if (this.#isClosed) {
      this.#end(lease);
      throw new TuttiError("FAILED_PRECONDITION", "The session is closed");
    }
    this.#lease = lease;
    if (lost) this.#tellFailover(lost, lease, replayed);
    return true;
  }

  #tellFailover(
    { replica, loss: { reason }, detectMs, at, block, stepIndex }: LostRange,
    { replica: { address: worker } }: Lease,
    replayed: Replayed,
  ): void {
    const { name: expert } = this.#pool;
    this.#pool.emit({
      ...{ kind: "failover", expert, from: replica.address, worker, reason, detectMs },
      ...{ replayMs: performance.now() - at, ...replayed, block, stepIndex },
    });
  }

  #end(lease: Lease): void {
    lease[Symbol.dispose]();
    this.#pool.closeLater(lease.session);
  }
}
