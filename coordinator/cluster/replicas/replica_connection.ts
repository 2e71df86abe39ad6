/** What replicas are made of: an expert at an address, and how busy its worker is. @module */

import type { Expert } from "../../../shared/engine/expert.ts";
import {
  awaitedFromMessage,
  type SessionProgress,
  statusFromMessage,
  statusRequestToMessage,
  type WorkerStatus,
} from "../../../shared/wire/convert_status.ts";
import { wrongAnswer } from "../call_errors.ts";
import { STATUS_DEADLINE_MS } from "../deadlines.ts";
import { connectExpert } from "../remote_expert.ts";
import type { TransportOptions } from "../tensor_transport.ts";
import { WorkerClient } from "../worker_client.ts";

/** Of a worker, what choosing among several and noticing a new process needs. */
export interface ReplicaLoad extends
  Pick<
    WorkerStatus,
    "state" | "sessions" | "queueDepth" | "lanes" | "uptimeSeconds"
  > {
  /** Of the sessions that were asked about; empty from a worker that tells nothing of them. */
  readonly awaited?: readonly SessionProgress[];
}

export interface ReplicaConnection {
  readonly expert: Expert;
  /**
   * Answered by a thread that never computes.
   *
   * @param sessionIds of sessions whose answers are waited for
   */
  askLoad(signal?: AbortSignal, sessionIds?: readonly string[]): Promise<ReplicaLoad>;
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
      askLoad: (signal, sessionIds) => askLoad(client, signal, sessionIds),
      // A worker may be lost between its answer and the use of it: sessions are closed by those who opened them.
      close: async () => {
        client.close();
        await expert.disconnect();
      },
    };
  };
}

async function askLoad(
  client: WorkerClient,
  signal: AbortSignal | undefined,
  sessionIds: readonly string[] = [],
): Promise<ReplicaLoad> {
  const context = { doing: "telling its status" };
  const settings = { deadlineMs: STATUS_DEADLINE_MS, signal, context };
  const request = statusRequestToMessage(sessionIds);
  const message = await client.unary("GetStatus", request, settings);
  try {
    return { ...statusFromMessage(message), awaited: awaitedFromMessage(message) };
  } catch (error) {
    throw wrongAnswer(error, client.address, context);
  }
}
