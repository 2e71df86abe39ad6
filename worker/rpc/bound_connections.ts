/**
 * Bounds the connections to a grpc-js server, ends those that stay silent, and looks whether its ports accept any.
 * grpc-js 1.14.7 has no option for that, so private fields are used here.
 *
 * @module
 */

import type { Server } from "@grpc/grpc-js";
import type { EventEmitter } from "node:events";
import type { AddressInfo } from "node:net";
import { ConnectionRoom, SILENCE_MS, type Socket } from "../../shared/wire/connection_room.ts";
import { type Listener, PortWatch } from "../../shared/wire/port_watch.ts";

interface Http2Server extends Listener {
  on: EventEmitter["on"];
  address(): AddressInfo;
}

interface ServerInternals {
  /** Options of every HTTP/2 server that `bindAsync` creates. */
  commonServerOptions?: { handshakeTimeout?: number };
  /** The HTTP/2 servers, once bound. */
  http2Servers?: Map<Http2Server, unknown>;
}

interface Http2Stream {
  readonly session?: { readonly socket?: Socket };
  once(event: "close", listener: () => void): unknown;
}

/** Of the files that the process may open. */
const SHARE = 1 / 4;

/**
 * Call before binding, and the returned function after it.
 *
 * @returns a function whose result is a watch of each port; none where there is nothing to bound
 */
export function boundConnections(server: Server): () => Promise<readonly PortWatch[]> {
  const internals = server as unknown as ServerInternals;
  // What a handshake keeps stays until this has passed, even if the connection has ended.
  if (internals.commonServerOptions) internals.commonServerOptions.handshakeTimeout = SILENCE_MS;
  return async () => {
    const { http2Servers } = internals;
    if (!(http2Servers instanceof Map)) return [];
    const room = await ConnectionRoom.ofShare(SHARE);
    return [...http2Servers.keys()].map((http2Server) => {
      http2Server.on("connection", (socket: Socket) => room.admit(socket));
      http2Server.on("stream", (stream: Http2Stream) => {
        const socket = stream.session?.socket;
        if (socket) stream.once("close", room.beginCall(socket));
      });
      const { address: host, port } = http2Server.address();
      return new PortWatch(http2Server, { host, port });
    });
  };
}
