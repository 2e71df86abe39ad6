/**
 * The library's connection over TCP and TLS, with its TLS made whole. As it comes, a server that is named by its IP address
 * has to show a certificate for "localhost", and an alert that arrives between handshake and login is an error that nobody
 * listens to: it ends the process, or leaves the login to wait for an answer until its time is over.
 *
 * @module
 */

import { checkServerIdentity, connect as connectTls, type TLSSocket } from "node:tls";
import { type ConnectionOptions, type NatsConnection, NatsError, type TlsOptions } from "nats";
import { NatsConnectionImpl, setTransportFactory } from "nats/lib/nats-base-client/internal_mod.js";
import { nodeResolveHost, NodeTransport } from "nats/lib/src/node_transport.js";

/** What a client shows and believes, and who hears of TLS that failed once the handshake was done. */
export interface NatsTls extends TlsOptions {
  readonly onAlert?: (error: Error) => void;
}

/** What the library is told in a server's place, of which it knows that it ends a login. */
const HUNG_UP = "Authorization Violation: the server hung up";

/** Whether the server hung up after the handshake, instead of answering: `onAlert` has heard why, if it said so. */
export function isHungUp(error: unknown): boolean {
  return error instanceof NatsError && error.message.includes(HUNG_UP);
}

/** As the library's `connect()`. */
export function connectNats(
  options: ConnectionOptions & { tls?: NatsTls },
): Promise<NatsConnection> {
  setTransportFactory({ factory: () => new TlsTransport(), dnsResolveFn: nodeResolveHost });
  return NatsConnectionImpl.connect(options);
}

type Place = Parameters<NodeTransport["connect"]>[0];

class TlsTransport extends NodeTransport {
  #host = "";
  /** Whether the server has said anything since the handshake. */
  #isHeard = false;

  override connect(place: Place, options: ConnectionOptions): Promise<void> {
    // The name that was asked for, where it stands for an address that was looked up.
    this.#host = place.tlsName || place.hostname;
    return super.connect(place, options);
  }

  override startTLS(): Promise<TLSSocket> {
    const { ca, cert, key, onAlert }: NatsTls = this.options.tls ?? {};
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
    const socket = connectTls({
      socket: this.socket,
      servername: this.tlsName,
      checkServerIdentity: (_, certificate) => checkServerIdentity(this.#host, certificate),
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    });
    let isDone = false;
    // With TLS 1.3 a server refuses a client's certificate after the client has taken the handshake for done.
    socket.on("error", (error) => {
      if (!isDone) reject(error);
      // What is written after the server hung up fails, too, and says nothing.
      else if (/alert/i.test(error.message)) onAlert?.(error);
    });
    socket.once("close", () => {
      reject(new Error("the server hung up during the TLS handshake"));
      if (isDone && !this.#isHeard) this.#refuse();
    });
    socket.once("secureConnect", () => {
      isDone = true;
      resolve(socket);
    });
    return promise;
  }

  override setupHandlers(): void {
    super.setupHandlers();
    this.socket.once("data", () => this.#isHeard = true);
  }

  /** Ends a login whose answer does not come any more: the library waits for what a server says, not for its connection. */
  #refuse(): void {
    this.yields.push(new TextEncoder().encode(`-ERR '${HUNG_UP}'\r\n`));
    this.signal.resolve();
  }
}
