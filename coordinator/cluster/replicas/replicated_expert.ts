/**
 * An expert that several workers serve. Each call and session goes to one of them, and on to another one when that is lost;
 * whoever calls sees one expert, and one run of bits.
 *
 * @module
 */

import type {
  AddedCond,
  Expert,
  ExpertDescription,
  ExpertSession,
  SessionConfig,
  TextEncoding,
  TextOptions,
  WeightsHashes,
} from "../../../shared/engine/expert.ts";
import type { SessionLimits } from "../../../shared/wire/check_limits.ts";
import type { F32Tensor, Tensor } from "../../../shared/tensor/tensor.ts";
import { SMALL_WORK_DEADLINE_MS } from "../deadlines.ts";
import { attempt } from "./attempt.ts";
import { ReplicaPool, type ReplicaPoolOptions } from "./replica_pool.ts";
import { ReplicaSearch } from "./replica_search.ts";
import { ReplicatedSession } from "./replicated_session.ts";

/**
 * @throws {TuttiError} of the first replica that was tried, if none answers
 */
export async function openReplicatedExpert(
  options: ReplicaPoolOptions,
  signal?: AbortSignal,
): Promise<ReplicatedExpert> {
  const pool = new ReplicaPool(options);
  try {
    await pool.open(signal);
    return new ReplicatedExpert(pool);
  } catch (error) {
    await pool.close();
    throw error;
  }
}

export class ReplicatedExpert implements Expert {
  readonly description: ExpertDescription;
  readonly limits?: SessionLimits;
  readonly #pool: ReplicaPool;
  readonly #sessions = new Set<ReplicatedSession>();

  /** @param pool that is open */
  constructor(pool: ReplicaPool) {
    this.#pool = pool;
    this.description = pool.description;
    if (pool.limits) this.limits = pool.limits;
  }

  encodeText(
    inputIds: Tensor<"int64">,
    options?: TextOptions,
    signal?: AbortSignal,
  ): Promise<TextEncoding> {
    return this.#call((expert, signal) => expert.encodeText(inputIds, options, signal), signal);
  }

  embedTimesteps(
    timesteps: readonly number[],
    signal?: AbortSignal,
    addedCond?: AddedCond,
  ): Promise<F32Tensor> {
    return this.#call(
      (expert, signal) => expert.embedTimesteps(timesteps, signal, addedCond),
      signal,
    );
  }

  weightsHashes(signal?: AbortSignal): Promise<WeightsHashes | undefined> {
    return this.#call(async (expert, signal) => await expert.weightsHashes?.(signal), signal);
  }

  async openSession(config: SessionConfig, signal?: AbortSignal): Promise<ExpertSession> {
    const onClose = () => void this.#sessions.delete(session);
    const session = await ReplicatedSession.open(this.#pool, config, { signal, onClose });
    this.#sessions.add(session);
    return session;
  }

  /** Closes its sessions and the connections; the workers stay. */
  async close(): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.close()));
    await this.#pool.close();
  }

  /** A call that needs no session. */
  async #call<T>(
    run: (expert: Expert, signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const search = new ReplicaSearch(this.#pool, { signal });
    for (;;) {
      using use = await search.next();
      const outcome = await attempt({
        pool: this.#pool,
        use,
        longestMs: SMALL_WORK_DEADLINE_MS,
        signal,
        run: (signal) => run(use.link.connection.expert, signal),
      });
      if ("answer" in outcome) return outcome.answer;
      search.lost(use, outcome.loss, outcome.detectMs);
    }
  }
}
