/** Ends a call without what was written to it. @module */

import type { ServerDuplexStream } from "@grpc/grpc-js";
import { constants } from "node:http2";

/** grpc-js 1.14.7 can only end a call behind its data; its interceptors stand before the HTTP/2 stream. */
interface CallInternals {
  readonly call?: CallInternals;
  readonly nextCall?: CallInternals;
  readonly stream?: { close?(code: number): void };
}

/**
 * Its client sees a cancelled call, and data that waits to be read is dropped: a status behind it would keep it until the
 * connection ends.
 *
 * @returns whether the private fields are there
 */
export function resetCall<I, O>(call: ServerDuplexStream<I, O>): boolean {
  let inner = (call as unknown as CallInternals).call;
  while (inner?.nextCall) inner = inner.nextCall;
  if (!inner?.stream?.close) return false;
  inner.stream.close(constants.NGHTTP2_CANCEL);
  return true;
}
