/** A request of node's servers as the web's Request, and a Response as node's answer. @module */

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { type Duplex, Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import type { ReadableStream as NodeStream } from "node:stream/web";

/**
 * @param signal aborts when the client is gone
 * @throws {TypeError} if path or host make no address
 */
export function toRequest(
  incoming: IncomingMessage,
  scheme: "http" | "https",
  signal: AbortSignal,
): Request {
  const { method = "GET", url = "/", headers } = incoming;
  const hasBody = method !== "GET" && method !== "HEAD";
  return new Request(new URL(url, `${scheme}://${headers.host ?? "localhost"}`), {
    method,
    headers: Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((one): [string, string] => [name, one])
    ),
    signal,
    ...(hasBody && { body: Readable.toWeb(incoming) as ReadableStream, duplex: "half" }),
  });
}

/** Waits for a slow client; one that is gone ends the body's stream. Never rejects. */
export async function sendResponse(response: Response, outgoing: ServerResponse): Promise<void> {
  const headers: Record<string, string | string[]> = Object.fromEntries(response.headers);
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  outgoing.writeHead(response.status, headers);
  try {
    if (response.body) await pipeline(Readable.fromWeb(response.body as NodeStream), outgoing);
    else await finished(outgoing.end());
  } catch {
    // There is nobody left to tell.
  }
}

/** On a connection that has left HTTP: a short answer, and its end. Never rejects. */
export async function sendLastResponse(response: Response, socket: Duplex): Promise<void> {
  const { status, headers } = response;
  const body = new Uint8Array(await response.arrayBuffer());
  const all = {
    ...Object.fromEntries(headers),
    "content-length": body.length,
    connection: "close",
  };
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    ...Object.entries(all).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  socket.end(body);
}
