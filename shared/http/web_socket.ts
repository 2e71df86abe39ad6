/** WebSockets of `HttpServer`: a handler answers a request that asks for one with `acceptWebSocket()`. @module */

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import { type WebSocket, WebSocketServer } from "ws";

export type { WebSocket };

/** A request that asks for another protocol on its connection. */
export interface Upgrade {
  readonly incoming: IncomingMessage;
  readonly socket: Duplex;
  /** What came after the request's headers. */
  readonly head: Uint8Array;
}

/** Largest message that a client may send, in bytes: ours have little to say. */
const MAX_PAYLOAD = 2 ** 16;

const server = new WebSocketServer({ noServer: true, maxPayload: MAX_PAYLOAD });
const upgrades = new WeakMap<Request, Upgrade>();
const accepted = new WeakSet<Response>();

/** Notes how the request's connection can become a WebSocket. */
export function noteUpgrade(request: Request, upgrade: Upgrade): void {
  upgrades.set(request, upgrade);
}

/** Whether the answer has been given: the connection is a WebSocket now. */
export function isWebSocket(response: Response): boolean {
  return accepted.has(response);
}

/**
 * @param onOpen given the socket, which sends from then on
 * @returns the handler's answer; 426 where the request asks for no WebSocket
 */
export function acceptWebSocket(
  request: Request,
  onOpen: (socket: WebSocket) => void,
): Response {
  const upgrade = upgrades.get(request);
  if (!upgrade) {
    const error = "This address speaks WebSocket: the request must ask for an upgrade to it";
    return Response.json({ error }, { status: 426, headers: { upgrade: "websocket" } });
  }
  const { incoming, socket, head } = upgrade;
  // A handshake that is wrong is answered by the library, with 400.
  server.handleUpgrade(incoming, socket, head as Buffer, (opened) => {
    // An error is followed by a close.
    opened.on("error", () => {});
    onOpen(opened);
  });
  const response = new Response(null, { status: 204 });
  accepted.add(response);
  return response;
}
