/**
 * An HTTP server with room for a bounded number of connections, whose certificate can be renewed, and whose port is opened
 * anew where it was lost: Deno's own server does none of these.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { TuttiError } from "../errors.ts";
import type { KeyPair } from "../security/tls_files.ts";
import { type Address, formatAddress } from "../wire/address.ts";
import { ConnectionRoom, SILENCE_MS } from "../wire/connection_room.ts";
import { PortWatch } from "../wire/port_watch.ts";
import { sendResponse, toRequest } from "./node_exchange.ts";

export type Handler = (request: Request) => Promise<Response>;

/** Of the files that the process may open. */
const SHARE = 1 / 8;

export class HttpServer implements AsyncDisposable {
  /** With the port that was taken. */
  readonly address: Address;
  readonly #server: Server | TlsServer;
  readonly #watch: PortWatch;

  private constructor(server: Server | TlsServer, address: Address) {
    this.#server = server;
    this.address = address;
    this.#watch = new PortWatch(server, address);
  }

  /**
   * @param handler must not reject
   * @param tls makes it HTTPS
   * @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on
   */
  static async open(
    address: Address,
    handler: Handler,
    tls: KeyPair | undefined,
  ): Promise<HttpServer> {
    const server = tls ? createTlsServer({ ...tls, handshakeTimeout: SILENCE_MS }) : createServer();
    const room = await ConnectionRoom.ofShare(SHARE);
    server.on("connection", (socket) => room.admit(socket));
    server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
      outgoing.once("close", room.beginCall(incoming.socket));
      void exchange(incoming, outgoing, handler, tls ? "https" : "http");
    });
    const port = await listen(server, address);
    return new HttpServer(server, { host: address.host, port });
  }

  /** New connections see this certificate. No effect on plain HTTP. */
  renewTls(tls: KeyPair): void {
    if ("setSecureContext" in this.#server) this.#server.setSecureContext(tls);
  }

  /** Answers what is asked for now, and nothing new; a client that keeps its connection open does not hold this up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    await closed;
  }
}

async function exchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handler: Handler,
  scheme: "http" | "https",
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => gone.abort());
  let request: Request;
  try {
    request = toRequest(incoming, scheme, gone.signal);
  } catch {
    const error = `Path and Host must make an address: current path is ${incoming.url}`;
    return await sendResponse(Response.json({ error }, { status: 400 }), outgoing);
  }
  await sendResponse(await handler(request), outgoing);
}

function listen(server: Server | TlsServer, { host, port }: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const address = formatAddress({ host, port });
      reject(
        new TuttiError(
          "FAILED_PRECONDITION",
          `Cannot listen on ${address}: ${error.message}. ` +
            "Choose another address with --http; port 0 takes a free one",
          { cause: error, details: { address } },
        ),
      );
    };
    server.once("error", fail);
    server.listen(port, host, () => {
      server.off("error", fail);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
