/**
 * Questions about a worker that need no expert: how busy it is, which sessions it has, whether it is healthy.
 *
 * @module
 */

import type { ServiceDefinition } from "@grpc/grpc-js";
import { service as healthService } from "grpc-health-check";
import { TuttiError } from "../../shared/errors.ts";
import {
  sessionsFromMessage,
  type SessionSummary,
  statusFromMessage,
  type WorkerStatus,
} from "../../shared/wire/convert_status.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { wrongAnswer } from "./call_errors.ts";
import { connectFailed } from "./connect.ts";
import { STATUS_DEADLINE_MS } from "./deadlines.ts";
import { WorkerClient } from "./worker_client.ts";

/** Answers of the standard health service. */
export type Health = "UNKNOWN" | "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

/** @throws {WorkerError} if the worker cannot be reached or answers wrongly */
export function readWorkerStatus(address: string, signal?: AbortSignal): Promise<WorkerStatus> {
  return ask(
    address,
    { method: "GetStatus", doing: "telling its status" },
    statusFromMessage,
    signal,
  );
}

/** @throws {WorkerError} if the worker cannot be reached or answers wrongly */
export function listWorkerSessions(
  address: string,
  signal?: AbortSignal,
): Promise<SessionSummary[]> {
  const question = { method: "ListSessions", doing: "listing its sessions" };
  return ask(address, question, sessionsFromMessage, signal);
}

/**
 * Asks the standard health service, so it works with any gRPC server.
 *
 * @throws {WorkerError} if the server cannot be reached or has no health service
 */
export function checkHealth(address: string, signal?: AbortSignal): Promise<Health> {
  const question = {
    method: "Check",
    doing: "telling its health",
    request: { service: "" },
    service: healthService as ServiceDefinition,
  };
  const read = (response: unknown) => (response as { status: Health }).status;
  return ask(address, question, read, signal);
}

interface Question {
  readonly method: string;
  readonly doing: string;
  readonly request?: Message;
  readonly service?: ServiceDefinition;
}

async function ask<T>(
  address: string,
  { method, doing, request = {}, service }: Question,
  read: (response: unknown) => T,
  signal: AbortSignal | undefined,
): Promise<T> {
  const client = new WorkerClient(address, service);
  try {
    const settings = { deadlineMs: STATUS_DEADLINE_MS, signal, context: { doing } };
    const response = await client.unary(method, request, settings).catch(async (error) => {
      throw await connectFailed(TuttiError.from(error), client, STATUS_DEADLINE_MS);
    });
    try {
      return read(response);
    } catch (error) {
      throw wrongAnswer(error, client.address, { doing });
    }
  } finally {
    client.close();
  }
}
