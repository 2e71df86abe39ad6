/**
 * Turns an async function from request to response into a gRPC handler: cancellation becomes an
 * AbortSignal, any error a status.
 *
 * @module
 */

import type { handleUnaryCall } from "@grpc/grpc-js";
import type { Message } from "../../shared/wire/fields.ts";
import { errorToStatus } from "../../shared/wire/status.ts";
import type { WorkerHost } from "../worker_host.ts";

/** Answers one request; the signal fires when the client gives up or its deadline passes. */
export type AnswerUnary = (
  request: Message,
  signal: AbortSignal,
) => Message | Promise<Message>;

/** @param method its name in the service, for metrics */
export function unaryHandler(
  host: WorkerHost,
  method: string,
  answer: AnswerUnary,
): handleUnaryCall<Message, Message> {
  return (call, callback) => {
    const abort = new AbortController();
    call.on("cancelled", () => abort.abort());
    const respond = async () => {
      const began = performance.now();
      const { metrics, log } = host;
      try {
        const response = await answer(call.request, abort.signal);
        const ms = performance.now() - began;
        metrics?.call(method, ms);
        log.called(method, ms, { peer: call.getPeer() });
        callback(null, response);
      } catch (error) {
        metrics?.call(method, performance.now() - began, error);
        log.failed(method, error, { peer: call.getPeer() });
        callback(errorToStatus(error));
      }
    };
    host.track(respond());
  };
}
