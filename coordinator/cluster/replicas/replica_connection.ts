/** What replicas are made of: an expert at an address, and how busy its worker is. @module */

import type { DifferentiableExpert } from "../../../shared/engine/backward.ts";
import { statusFromMessage, type WorkerStatus } from "../../../shared/wire/convert_status.ts";
import { wrongAnswer } from "../call_errors.ts";
import { STATUS_DEADLINE_MS } from "../deadlines.ts";
import { connectExpert } from "../remote_expert.ts";
import type { TransportOptions } from "../tensor_transport.ts";
import { WorkerClient } from "../worker_client.ts";

/** Of a worker, what choosing among several and noticing a new process needs. */
export type ReplicaLoad = Pick<
  WorkerStatus,
  "state" | "sessions" | "queueDepth" | "lanes" | "uptimeSeconds"
>;

export interface ReplicaConnection {
  readonly expert: DifferentiableExpert;
  /** Answered by a thread that never computes. */
  askLoad(signal?: AbortSignal): Promise<ReplicaLoad>;
  close(): Promise<void>;
}

export interface ConnectReplicaOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** @throws {TuttiError} as `connectExpert()` */
export type ConnectReplica = (
  address: string,
  options: ConnectReplicaOptions,
) => Promise<ReplicaConnection>;

/** Replicas that are workers. */
export function connectWorkers(transport: TransportOptions = {}): ConnectReplica {
  return async (address, { timeoutMs, signal }) => {
    const options = { transport, connectTimeoutMs: timeoutMs, ...(signal && { signal }) };
    const expert = await connectExpert(address, options);
    // A connection of its own: an answer must not wait behind feature maps.
    const client = new WorkerClient(address);
    return {
      expert,
      askLoad: (signal) => askLoad(client, signal),
      // A worker may be lost between its answer and the use of it: sessions are closed by those who opened them.
      close: async () => {
        client.close();
        await expert.disconnect();
      },
    };
  };
}

async function askLoad(client: WorkerClient, signal?: AbortSignal): Promise<ReplicaLoad> {
  const context = { doing: "telling its status" };
  const settings = { deadlineMs: STATUS_DEADLINE_MS, signal, context };
  const message = await client.unary("GetStatus", {}, settings);
  try {
    return statusFromMessage(message);
  } catch (error) {
    throw wrongAnswer(error, client.address, context);
  }
}
