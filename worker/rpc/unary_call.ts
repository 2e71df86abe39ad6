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

export function unaryHandler(
  host: WorkerHost,
  answer: AnswerUnary,
): handleUnaryCall<Message, Message> {
  return (call, callback) => {
    const abort = new AbortController();
    call.on("cancelled", () => abort.abort());
    const respond = async () => {
      try {
        callback(null, await answer(call.request, abort.signal));
      } catch (error) {
        callback(errorToStatus(error));
      }
    };
    host.track(respond());
  };
}
