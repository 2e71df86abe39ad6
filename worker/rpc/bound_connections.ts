/**
 * Bounds the connections to a grpc-js server. Deno's HTTP/2 servers accept nothing any more once one accept found no
 * file descriptor left, so clients must not be able to take them all. grpc-js 1.14.7 has no option for this, so a
 * private field is read here.
 *
 * @module
 */

import type { Server } from "@grpc/grpc-js";

interface ServerInternals {
  /** The HTTP/2 servers, once bound. */
  http2Servers?: Map<{ maxConnections?: number }, unknown>;
}

/** More than the sessions, callers and probes of one worker. */
const MAX_CONNECTIONS = 1000;

/** What many systems give a process, where this one does not say. */
const USUAL_FILES = 1024;

/**
 * Call after binding. The rest of the files that the process may open is for its models, planes and pages, and for the
 * 511 connections that may wait to be accepted: those beyond the bound are accepted, too, before they are closed.
 *
 * @returns whether each port is bounded
 */
export async function boundConnections(server: Server): Promise<boolean> {
  const { http2Servers } = server as unknown as ServerInternals;
  if (!(http2Servers instanceof Map) || http2Servers.size === 0) return false;
  const maxConnections = Math.min(MAX_CONNECTIONS, Math.floor(await maxOpenFiles() / 4));
  for (const http2Server of http2Servers.keys()) http2Server.maxConnections = maxConnections;
  return true;
}

async function maxOpenFiles(): Promise<number> {
  const limits = await Deno.readTextFile("/proc/self/limits").catch(() => "");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? USUAL_FILES);
}
