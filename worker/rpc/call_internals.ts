/** What grpc-js 1.14.7 has no methods for: its private fields, and what is done where an upgrade took them away. @module */

import type { ServerDuplexStream } from "@grpc/grpc-js";
import { constants } from "node:http2";

/** Of a stream, of its interceptors, and of what they stand before. */
interface CallInternals {
  readonly call?: CallInternals;
  readonly nextCall?: CallInternals;
  readonly stream?: { close?(code: number): void };
  readonly decoder?: {
    readonly readMessageRemaining?: number;
    /** Of the message that comes, and after its end of the last one. */
    readPartialMessage?: Uint8Array[];
  };
}

/**
 * Ends a call without what was written to it. Its client sees a cancelled call, and data that waits to be read is dropped:
 * a status behind it would keep it until the connection ends.
 *
 * @returns whether it could be done
 */
export function resetCall<I, O>(call: ServerDuplexStream<I, O>): boolean {
  const { stream } = innermost(call);
  if (!stream?.close) return false;
  stream.close(constants.NGHTTP2_CANCEL);
  return true;
}

/**
 * Drops the bytes of the last message that came, which would stay until the next one begins.
 *
 * @returns whether there are none of it any more
 */
export function forgetReceived<I, O>(call: ServerDuplexStream<I, O>): boolean {
  const { decoder } = innermost(call);
  if (!decoder?.readPartialMessage) return false;
  if (decoder.readMessageRemaining === 0) decoder.readPartialMessage = [];
  return true;
}

function innermost<I, O>(call: ServerDuplexStream<I, O>): CallInternals {
  let inner = (call as unknown as CallInternals).call;
  while (inner?.nextCall) inner = inner.nextCall;
  return inner ?? {};
}
