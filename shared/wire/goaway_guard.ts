/**
 * Keeps the process alive when the other end of a gRPC connection says goodbye. Deno 2.9's `node:http2` ends a
 * session while nghttp2 still reads the GOAWAY frame that asks for it, and nghttp2 goes on in freed memory:
 * about every second client that closes its connection in order takes its worker down (related:
 * https://github.com/denoland/deno/issues/36788). Here the end of such a session waits until the read is over.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import http2 from "node:http2";
import { setImmediate } from "node:timers";

type End = (...args: unknown[]) => void;

interface Http2Session {
  emit(event: string | symbol, ...args: unknown[]): boolean;
  close: End;
  destroy: End;
}

let isGuarded = false;

/** Guards every HTTP/2 session of this process, of clients and servers. Harmless when repeated. */
export function guardGoaway(): void {
  const { Http2Session } = http2 as unknown as { Http2Session?: { prototype: Http2Session } };
  if (isGuarded || !Http2Session) return;
  isGuarded = true;
  const { prototype } = Http2Session;
  prototype.emit = function (event, ...args) {
    if (event === "goaway") endLater(this, prototype);
    return EventEmitter.prototype.emit.call(this, event, ...args);
  };
}

/** From now on `close` and `destroy` of this session take effect after whatever is being read. */
function endLater(session: Http2Session, { close, destroy }: Http2Session): void {
  session.close = (...args) => void setImmediate(() => close.apply(session, args));
  session.destroy = (...args) => void setImmediate(() => destroy.apply(session, args));
}
