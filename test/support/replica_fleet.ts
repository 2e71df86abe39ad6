/**
 * Replicas without processes: experts of this process at made-up addresses, with faults where a test wants them. What fails is
 * the connection, in the way that a worker's does; the experts and their sessions are real.
 *
 * @module
 */

import type { ReplicaConnection } from "../../coordinator/cluster/replicas/replica_connection.ts";
import {
  type ReplicaDirectory,
  StaticReplicas,
} from "../../coordinator/cluster/replicas/replica_directory.ts";
import type { ReplicaEvent } from "../../coordinator/cluster/replicas/replica_events.ts";
import type { ReplicaPoolOptions } from "../../coordinator/cluster/replicas/replica_pool.ts";
import type { ReplicaSettings } from "../../coordinator/cluster/replicas/replica_settings.ts";
import type { Expert, ExpertSession } from "../../shared/engine/expert.ts";
import { throwIfAborted, WorkerError } from "../../shared/errors.ts";
import { delay } from "../../coordinator/cluster/delay.ts";

/** One call to a replica. */
export interface FleetCall {
  readonly address: string;
  /** Name of the method. */
  readonly method: string;
  /** Of ranges: first block. */
  readonly block?: string;
  readonly stepIndex?: number;
}

/** Throws, waits or counts before a call does its work. */
export type Fault = (call: FleetCall, signal?: AbortSignal) => void | Promise<void>;

/** Quick enough for tests, and no tighter than a busy machine allows. */
export const QUICK: Partial<ReplicaSettings> = {
  heartbeatMs: 20,
  silenceMs: 300,
  lastPatience: 2,
  retryMs: 5,
  maxRetryMs: 20,
  deadlineFloorMs: 300,
  lingerMs: 50,
};

export class ReplicaFleet {
  readonly events: ReplicaEvent[] = [];
  readonly calls: FleetCall[] = [];
  /** Addresses at which nothing answers. */
  readonly down = new Set<string>();
  /** Addresses whose calls hang, status included. */
  readonly frozen = new Set<string>();
  readonly #experts: Readonly<Record<string, Expert>>;
  fault: Fault = () => {};
  /** Time after which a question for a worker's status ends by itself, ms. */
  statusDeadlineMs = Infinity;

  constructor(experts: Readonly<Record<string, Expert>>) {
    this.#experts = experts;
  }

  options(
    options: Partial<ReplicaPoolOptions> & { readonly directory?: ReplicaDirectory } = {},
  ): ReplicaPoolOptions {
    return {
      name: "affine",
      directory: new StaticReplicas(Object.keys(this.#experts)),
      connect: (address, { timeoutMs, signal }) => {
        const late = AbortSignal.timeout(timeoutMs);
        return this.#connect(address, signal ? AbortSignal.any([signal, late]) : late);
      },
      settings: QUICK,
      onEvent: (event) => this.events.push(event),
      ...options,
    };
  }

  kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  /** The process at this address ends: whatever is asked of it is lost. */
  kill(address: string): never {
    this.down.add(address);
    throw lost(address);
  }

  async #connect(address: string, signal: AbortSignal): Promise<ReplicaConnection> {
    await this.#reach(address, signal);
    const expert = this.#experts[address]!;
    const guard = (method: string, block?: string, stepIndex?: number) =>
    async (
      signal?: AbortSignal,
    ) => {
      const call = {
        ...{ address, method },
        ...(block !== undefined && { block }),
        ...(stepIndex !== undefined && { stepIndex }),
      };
      this.calls.push(call);
      await this.#reach(address, signal);
      await this.fault(call, signal);
      await this.#reach(address, signal);
    };
    return {
      expert: {
        description: expert.description,
        encodeText: async (ids, options, signal) => {
          await guard("encodeText")(signal);
          return await expert.encodeText(ids, options, signal);
        },
        embedTimesteps: async (timesteps, signal, addedCond) => {
          await guard("embedTimesteps")(signal);
          return await expert.embedTimesteps(timesteps, signal, addedCond);
        },
        openSession: async (config, signal) => {
          await guard("openSession")(signal);
          return this.#guarded(await expert.openSession(config, signal), guard);
        },
        close: () => Promise.resolve(),
      },
      askLoad: async (signal) => {
        await this.#reachInTime(address, signal);
        return {
          ...{ state: "serving", sessions: 0, queueDepth: 0, lanes: 1 },
          uptimeSeconds: performance.now() / 1000,
        };
      },
      close: () => Promise.resolve(),
    };
  }

  #guarded(
    session: ExpertSession,
    guard: (
      method: string,
      block: string,
      stepIndex: number,
    ) => (signal?: AbortSignal) => Promise<void>,
  ): ExpertSession {
    return {
      inputBuffer: (range) => session.inputBuffer(range),
      forward: async (range, signal) => {
        await guard("forward", range.first, range.stepIndex)(signal);
        return await session.forward(range, signal);
      },
      restore: async (range, signal) => {
        await guard("restore", range.first, range.stepIndex)(signal);
        await session.restore!(range, signal);
      },
      backward: async (range, signal) => {
        await guard("backward", range.first, range.stepIndex)(signal);
        return await session.backward!(range, signal);
      },
      close: () => session.close(),
    };
  }

  async #reachInTime(address: string, signal?: AbortSignal): Promise<void> {
    if (!Number.isFinite(this.statusDeadlineMs)) return await this.#reach(address, signal);
    const late = AbortSignal.timeout(this.statusDeadlineMs);
    try {
      await this.#reach(address, signal ? AbortSignal.any([signal, late]) : late);
    } catch (error) {
      if (!late.aborted) throw error;
      throw new WorkerError("DEADLINE_EXCEEDED", `Worker ${address} did not answer in time`);
    }
  }

  /** What the network does with a message to this address. */
  async #reach(address: string, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    while (this.frozen.has(address)) await delay(5, signal);
    if (this.down.has(address)) throw lost(address);
  }
}

export function lost(worker: string): WorkerError {
  return new WorkerError("UNAVAILABLE", `Worker ${worker} was lost: the connection broke`, {
    details: { worker },
  });
}
