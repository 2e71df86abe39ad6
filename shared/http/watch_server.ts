/**
 * Pages for probes, Prometheus and people: `/live`, `/ready`, `/status`, `/metrics`. Whoever asks learns what goes on
 * and can change nothing.
 *
 * @module
 */

import { TuttiError, UsageError } from "../errors.ts";
import { type Address, formatAddress, isLoopback, parseAddress } from "../wire/address.ts";

export interface Watched {
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
}

const TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";

/** What there is, for whoever opens the address without a path. */
const PATHS = ["/live", "/ready", "/status", "/metrics"];

/**
 * Reads `--http`.
 *
 * @param insecure whether others may read the pages, which have no authentication
 * @throws {UsageError} if the address is malformed, or not loopback without `insecure`
 */
export function parseHttpAddress(text: string, insecure: boolean): Address {
  const address = parseAddress(text, { anyPort: true });
  if (insecure || isLoopback(address)) return address;
  throw new UsageError(
    `Showing health and metrics on ${formatAddress(address)} needs --insecure: ` +
      "anyone who reaches that port can read them. Keep to 127.0.0.1, or use a private network",
  );
}

/** @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on */
export function startWatchServer({ host, port }: Address, watched: Watched): WatchServer {
  try {
    const server = Deno.serve({
      hostname: host,
      port,
      onListen: () => {},
      onError: (error) => failed(error),
    }, (request) => answer(watched, request));
    return {
      address: formatAddress({ host, port: server.addr.port }),
      // A scraper that keeps its connection open does not hold the process up.
      [Symbol.asyncDispose]: () => server.shutdown(),
    };
  } catch (error) {
    const address = formatAddress({ host, port });
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `Cannot listen on ${address}: ${TuttiError.from(error).message}. ` +
        "Choose another address with --http; port 0 takes a free one",
      { cause: error, details: { address } },
    );
  }
}

async function answer(watched: Watched, { method, url }: Request): Promise<Response> {
  if (method !== "GET" && method !== "HEAD") {
    const error = `Method must be GET or HEAD: current value is ${method}`;
    return json({ error }, 405, { allow: "GET, HEAD" });
  }
  switch (new URL(url).pathname) {
    case "/live":
      return json({ live: true });
    case "/ready": {
      const notReady = watched.notReady();
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

function failed(error: unknown): Response {
  return json({ error: TuttiError.from(error).message }, 500);
}

function json(value: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify(value)}\n`, {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store", ...headers },
  });
}
