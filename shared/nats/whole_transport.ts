/**
 * The library's connection over TCP and TLS, made whole. As it comes, an error that reaches a socket while the library lets
 * go of it is heard by nobody and ends the process: a reset beside the refusal of a login, or a TLS alert between handshake
 * and login. A server that hangs up without an answer leaves the login to wait until its time is over. And a server that is
 * named by its IP address has to show a certificate for "localhost".
 *
 * @module
 */

import type { Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, type TLSSocket } from "node:tls";
import { type ConnectionOptions, type NatsConnection, NatsError } from "nats";
import { NatsConnectionImpl, setTransportFactory } from "nats/lib/nats-base-client/internal_mod.js";
import { nodeResolveHost, NodeTransport } from "nats/lib/src/node_transport.js";
import type { TlsFiles } from "../security/tls_files.ts";
import { leaveOutUnreadableHeaders } from "./readable_headers.ts";

/** What the library knows nothing of, beside its own options. */
export interface WholeOptions extends ConnectionOptions {
  /** Awaited before each attempt to connect: what a login takes from files may be read again. */
  readonly beforeDial?: () => Promise<void>;
  /** What a client shows and believes, asked for in each handshake. */
  readonly tlsFiles?: () => TlsFiles | undefined;
  /** Told of TLS that failed once the handshake was done. */
  readonly onTlsAlert?: (error: Error) => void;
}

/** What the library is told in a server's place, of which it knows that it ends a login. */
const HUNG_UP_WORDS = "Authorization Violation: the server hung up";

/** Whether the server hung up on the login, instead of answering: `onTlsAlert` has heard why, if TLS said so. */
export function isHungUp(error: unknown): boolean {
  return error instanceof NatsError && error.message.includes(HUNG_UP_WORDS);
}

/** As the library's `connect()`. */
export function connectNats(options: WholeOptions): Promise<NatsConnection> {
  leaveOutUnreadableHeaders();
  setTransportFactory({ factory: () => new WholeTransport(), dnsResolveFn: nodeResolveHost });
  return NatsConnectionImpl.connect(options);
}

type Place = Parameters<NodeTransport["connect"]>[0];

class WholeTransport extends NodeTransport {
  #host = "";
  /** Whether the server has answered the login. */
  #isHeard = false;

  override async connect(place: Place, options: WholeOptions): Promise<void> {
    // The name that was asked for, where it stands for an address that was looked up.
    this.#host = place.tlsName || place.hostname;
    await options.beforeDial?.();
    await super.connect(place, options);
  }

  override async dial(place: Place): Promise<Socket> {
    return errorsHeard(await super.dial(place));
  }

  override startTLS(): Promise<TLSSocket> {
    const { tlsFiles, onTlsAlert }: WholeOptions = this.options;
    const { pair, ca } = tlsFiles?.() ?? {};
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const socket = errorsHeard(connectTls({
      socket: this.socket,
      servername: this.tlsName,
      checkServerIdentity: (_, certificate) => checkServerIdentity(this.#host, certificate),
      ...(ca !== undefined && { ca }),
      ...pair,
    }));
    let isDone = false;
    // With TLS 1.3 a server refuses a client's certificate after the client has taken the handshake for done.
    socket.on("error", (error) => {
      if (!isDone) reject(error);
      // What is written after the server hung up fails, too, and says nothing.
      else if (/alert/i.test(error.message)) onTlsAlert?.(error);
    });
    socket.once(
      "close",
      () => reject(new Error("the server hung up during the TLS handshake")),
    );
    socket.once("secureConnect", () => {
      isDone = true;
      resolve(socket);
    });
    return promise;
  }

  override setupHandlers(): void {
    super.setupHandlers();
    this.socket.once("data", () => this.#isHeard = true);
    this.socket.once("close", () => {
      if (!this.#isHeard) this.#refuse();
    });
  }

  /** Ends a login whose answer does not come any more: the library waits for what a server says, not for its connection. */
  #refuse(): void {
    this.yields.push(new TextEncoder().encode(`-ERR '${HUNG_UP_WORDS}'\r\n`));
    this.signal.resolve();
  }
}

/** The socket, with somebody who hears its errors when all others have been taken away. */
function errorsHeard<S extends Socket>(socket: S): S {
  const { removeAllListeners } = socket;
  // Without arguments it takes all away; with `undefined` it takes none.
  socket.removeAllListeners = (...events: [event?: string | symbol]) =>
    removeAllListeners.apply(socket, events).on("error", () => {}) as S;
  return socket;
}
