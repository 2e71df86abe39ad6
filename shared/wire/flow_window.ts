/**
 * Opens the HTTP/2 flow-control windows of a grpc-js server. grpc-js 1.14.7 has an option for this on
 * clients only, so two private fields are set here. Where an upgrade took them away, the server works with
 * the small default windows, two to three times slower on feature maps, and `openFlowWindow` says so.
 *
 * @module
 */

import type { Server } from "@grpc/grpc-js";
import type { EventEmitter } from "node:events";
import { FLOW_WINDOW_BYTES } from "./limits.ts";

interface ServerInternals {
  /** Options of every HTTP/2 server that `bindAsync` creates. */
  commonServerOptions?: { settings?: Record<string, unknown> };
  /** The HTTP/2 servers, once bound. */
  http2Servers?: Map<EventEmitter, unknown>;
}

interface Http2Session {
  setLocalWindowSize?(bytes: number): void;
}

/**
 * Call before binding, and the returned function after it.
 *
 * @returns `stream`: whether each call's window is open; the function: whether each connection's will be
 */
export function openFlowWindow(
  server: Server,
): { readonly stream: boolean; afterBind(): boolean } {
  const internals = server as unknown as ServerInternals;
  const options = internals.commonServerOptions;
  if (options) options.settings = { ...options.settings, initialWindowSize: FLOW_WINDOW_BYTES };
  return {
    stream: options !== undefined,
    afterBind() {
      const servers = internals.http2Servers;
      if (!(servers instanceof Map) || servers.size === 0) return false;
      for (const http2Server of servers.keys()) {
        http2Server.on("session", (session: Http2Session) => {
          session.setLocalWindowSize?.(FLOW_WINDOW_BYTES);
        });
      }
      return true;
    },
  };
}
