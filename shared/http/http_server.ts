/**
 * An HTTP server with room for a bounded number of connections, whose certificate can be renewed, and whose port is opened
 * anew where it was lost: Deno's own server does none of these. It speaks WebSocket (`web_socket.ts`).
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { TuttiError } from "../errors.ts";
import type { KeyPair } from "../security/tls_files.ts";
import { type Address, formatAddress } from "../wire/address.ts";
import { ConnectionRoom, SILENCE_MS } from "../wire/connection_room.ts";
import { PortWatch } from "../wire/port_watch.ts";
import { sendLastResponse, sendResponse, toRequest } from "./node_exchange.ts";
import { isWebSocket, noteUpgrade, type Upgrade } from "./web_socket.ts";

/** @param peer the client's address */
export type Handler = (request: Request, peer: string) => Promise<Response>;

export interface HttpServerOptions {
  readonly address: Address;
  /** Must not reject. */
  readonly handler: Handler;
  /** Makes it HTTPS. */
  readonly tls?: KeyPair | undefined;
  /** Of the files that the process may open: so many connections at most. */
  readonly share: number;
  /** That gave the address, for messages. */
  readonly flag: "--http" | "--listen";
}

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

  /** @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on */
  static async open(
    { address, handler, tls, share, flag }: HttpServerOptions,
  ): Promise<HttpServer> {
    const server = tls ? createTlsServer({ ...tls, handshakeTimeout: SILENCE_MS }) : createServer();
    const room = await ConnectionRoom.ofShare(share);
    const scheme = tls ? "https" : "http";
    server.on("connection", (socket) => room.admit(socket));
    server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
      outgoing.once("close", room.beginCall(incoming.socket));
      void exchange(incoming, outgoing, handler, scheme);
    });
    server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Uint8Array) => {
      socket.once("close", room.beginCall(incoming.socket));
      void upgrade({ incoming, socket, head }, handler, scheme);
    });
    const port = await listen(server, address, flag);
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

type Scheme = "http" | "https";

async function exchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  handler: Handler,
  scheme: Scheme,
): Promise<void> {
  await sendResponse(await answer({ incoming, gone: outgoing }, handler, scheme), outgoing);
}

/** A connection that becomes a WebSocket, or is told why not. */
async function upgrade(asked: Upgrade, handler: Handler, scheme: Scheme): Promise<void> {
  const { incoming, socket } = asked;
  socket.on("error", () => {/* It is closed then. */});
  const response = await answer(
    { incoming, gone: socket, note: (request) => noteUpgrade(request, asked) },
    handler,
    scheme,
  );
  if (!isWebSocket(response)) await sendLastResponse(response, socket);
}

interface Asked {
  readonly incoming: IncomingMessage;
  /** Whose close says that the client is gone. */
  readonly gone: { once(event: "close", listener: () => void): unknown };
  readonly note?: (request: Request) => void;
}

async function answer(
  { incoming, gone, note }: Asked,
  handler: Handler,
  scheme: Scheme,
): Promise<Response> {
  const aborter = new AbortController();
  gone.once("close", () => aborter.abort());
  let request: Request;
  try {
    request = toRequest(incoming, scheme, aborter.signal);
  } catch {
    const error = `Path and Host must make an address: current path is ${incoming.url}`;
    return Response.json({ error }, { status: 400 });
  }
  note?.(request);
  return await handler(request, incoming.socket.remoteAddress ?? "");
}

function listen(
  server: Server | TlsServer,
  { host, port }: Address,
  flag: string,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const address = formatAddress({ host, port });
      reject(
        new TuttiError(
          "FAILED_PRECONDITION",
          `Cannot listen on ${address}: ${error.message}. ` +
            `Choose another address with ${flag}; port 0 takes a free one`,
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
