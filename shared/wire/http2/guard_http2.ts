/**
 * Keeps the process alive whatever the other end of an HTTP/2 connection sends, where Deno 2.9's `node:http2` does not.
 * It uses what is private there, and does nothing where a later Deno has it no more; tests then say so.
 *
 * A goodbye: a session is ended while nghttp2 still reads the GOAWAY frame that asks for it, and nghttp2 goes on in freed
 * memory: about every second client that closes its connection in order takes its worker down (related:
 * https://github.com/denoland/deno/issues/36788). Here the end of such a session waits until the read is over.
 *
 * Too much: `ConnectionWatch` reads every piece before nghttp2 does, and ends the session instead.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import http2 from "node:http2";
import { Duplex } from "node:stream";
import { setImmediate } from "node:timers";
import { TuttiError } from "../../errors.ts";
import { ConnectionWatch } from "./connection_watch.ts";

type End = (...args: unknown[]) => void;

interface Http2Session {
  readonly type: number;
  readonly destroyed: boolean;
  emit(event: string | symbol, ...args: unknown[]): boolean;
  close: End;
  destroy: End;
}

/** What a session has nghttp2 in. */
interface Handle {
  receive(bytes: Uint8Array): unknown;
}

let isGuarded = false;

/** Guards every HTTP/2 session of this process, of clients and servers. Harmless when repeated. */
export function guardHttp2(): void {
  const { Http2Session } = http2 as unknown as { Http2Session?: { prototype: Http2Session } };
  if (isGuarded || !Http2Session) return;
  isGuarded = true;
  const { prototype } = Http2Session;
  prototype.emit = function (event, ...args) {
    if (event === "goaway") endLater(this, prototype);
    return EventEmitter.prototype.emit.call(this, event, ...args);
  };
  watchPieces(prototype);
}

/** From now on `close` and `destroy` of this session take effect after whatever is being read. */
function endLater(session: Http2Session, { close, destroy }: Http2Session): void {
  session.close = (...args) => void setImmediate(() => close.apply(session, args));
  session.destroy = (...args) => void setImmediate(() => destroy.apply(session, args));
}

function watchPieces({ destroy }: Http2Session): void {
  const found = findHandle();
  if (!found) return;
  const { prototype, owner } = found;
  const receive = prototype.receive;
  const watches = new WeakMap<Handle, ConnectionWatch>();
  prototype.receive = function (this: Handle & Record<symbol, Http2Session>, bytes) {
    const session = this[owner];
    if (!session) return receive.call(this, bytes);
    if (session.destroyed) return undefined;
    let watch = watches.get(this);
    if (!watch) watches.set(this, watch = new ConnectionWatch(session.type === SERVER));
    const problem = watch.problemWith(bytes);
    if (problem === undefined) return receive.call(this, bytes);
    // Nothing of this connection is being read now, so it can end at once.
    destroy.call(session, new TuttiError("RESOURCE_EXHAUSTED", `The other end sent ${problem}`));
    return undefined;
  };
}

const SERVER = http2.constants.NGHTTP2_SESSION_SERVER;

/** Of all sessions; undefined if they have none by that name. */
function findHandle(): { readonly prototype: Handle; readonly owner: symbol } | undefined {
  const nowhere = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const session = http2.connect("http://nowhere", { createConnection: () => nowhere });
  try {
    const fields = session as unknown as Record<symbol, Handle | undefined>;
    const handle = fields[symbolOf(session, "kHandle")!];
    const owner = handle && symbolOf(handle, "ownerSymbol");
    if (!owner || typeof handle.receive !== "function") return undefined;
    return { prototype: Object.getPrototypeOf(handle), owner };
  } finally {
    session.destroy();
  }
}

function symbolOf(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description);
}
