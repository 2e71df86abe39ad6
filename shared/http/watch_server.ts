/**
 * Pages for probes, Prometheus and people: `/live`, `/ready`, `/status`, `/metrics`. Whoever asks learns what goes on
 * and can change nothing. Where there are tokens, figures need one; probes never do.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { KeyPair } from "../security/tls_files.ts";
import type { TokenGuard } from "../security/token_guard.ts";
import { type Address, formatAddress } from "../wire/address.ts";
import { HttpServer } from "./http_server.ts";
import { type PageProtection, parsePageAddress } from "./page_protection.ts";

export interface Watched {
  /** Whatever new work needs and cannot have, as a sentence; undefined if nothing is amiss. @default nothing ever is */
  notLive?(): Promise<string | undefined>;
  /** Undefined if new work is welcome, else why not: a word and a sentence. */
  notReady(): NotReady | undefined;
  /** Anything that JSON can hold. */
  status(): unknown;
  /** As Prometheus reads it. */
  metrics(): Promise<string>;
}

export interface NotReady {
  readonly state: string;
  readonly reason: string;
}

export interface WatchServer extends AsyncDisposable {
  /** HOST:PORT with the port that was taken. */
  readonly address: string;
  /** http or https, and the address. */
  readonly url: string;
  /** As `HttpServer.renewTls()`. */
  renewTls(tls: KeyPair): void;
}

const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

/** Of the files that the process may open: the most of them are for calls and models. */
const SHARE = 1 / 8;

/** What there is, for whoever opens the address without a path. */
const PATHS = ["/live", "/ready", "/status", "/metrics"];

/** Reads `--http`, as `parsePageAddress()`. */
export function parseHttpAddress(
  text: string,
  insecure: boolean,
  protection: PageProtection,
): Address {
  return parsePageAddress(text, insecure, protection, {
    doing: "Showing health and metrics on",
    does: "shows them",
    role: "metrics",
    risk: "read them",
  });
}

/** @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on */
export async function startWatchServer(
  address: Address,
  watched: Watched,
  { tls, guard }: PageProtection,
): Promise<WatchServer> {
  const handler = (request: Request) => answer(watched, guard, request).catch(failed);
  const server = await HttpServer.open({ address, handler, tls, share: SHARE, flag: "--http" });
  const shown = formatAddress(server.address);
  return {
    address: shown,
    url: `${tls ? "https" : "http"}://${shown}`,
    renewTls: (renewed) => server.renewTls(renewed),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function answer(watched: Watched, guard: TokenGuard, request: Request): Promise<Response> {
  const { method, url, headers } = request;
  if (method !== "GET" && method !== "HEAD") {
    const error = `Method must be GET or HEAD: current value is ${method}`;
    return json({ error }, 405, { allow: "GET, HEAD" });
  }
  const path = new URL(url).pathname;
  if (path === "/status" || path === "/metrics") {
    try {
      guard.check(headers.get("authorization") ?? undefined, ["metrics"], path);
    } catch (error) {
      return refused(TuttiError.from(error));
    }
  }
  switch (path) {
    case "/live": {
      const reason = await watched.notLive?.();
      return reason === undefined ? json({ live: true }) : json({ live: false, reason }, 503);
    }
    case "/ready": {
      const reason = await watched.notLive?.();
      const notReady = reason === undefined ? watched.notReady() : { state: "unreachable", reason };
      return notReady ? json({ ready: false, ...notReady }, 503) : json({ ready: true });
    }
    case "/status":
      return json(watched.status());
    case "/metrics":
      return new Response(await watched.metrics(), { headers: { "content-type": TEXT_FORMAT } });
    case "/":
      return json({ paths: PATHS });
    default:
      return json({ error: `Path must be one of ${PATHS.join(", ")}` }, 404);
  }
}

function refused({ code, message }: TuttiError): Response {
  const error = `${message}. Its header is "Authorization: Bearer TOKEN"`;
  return code === "UNAUTHENTICATED"
    ? json({ error }, 401, { "www-authenticate": "Bearer" })
    : json({ error }, 403);
}

function failed(error: unknown): Response {
  return json({ error: TuttiError.from(error).message }, 500);
}

function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}
