/** Listens, and hands what comes to the router. @module */

import { hostname } from "node:os";
import { UsageError } from "../../../shared/errors.ts";
import { RenewableServer } from "../../../shared/http/renewable_server.ts";
import type { PageProtection } from "../../../shared/http/watch_server.ts";
import {
  type Address,
  formatAddress,
  isLoopback,
  parseAddress,
} from "../../../shared/wire/address.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import { dialectsOf } from "./dialects.ts";
import { Router } from "./router.ts";

/** Where stable-diffusion-webui listens, and its clients look first. */
export const DEFAULT_LISTEN = "127.0.0.1:7860";

export interface HttpServer extends AsyncDisposable {
  readonly address: Address;
  readonly url: string;
  readonly renewTls: RenewableServer["renewTls"];
}

/**
 * Reads `--listen`.
 *
 * @param insecure whether anyone who reaches the port may draw
 * @throws {UsageError} if the address is malformed, or not loopback without TLS, tokens and `insecure`
 */
export function parseListenAddress(
  text: string,
  insecure: boolean,
  { tls, guard }: PageProtection,
): Address {
  const address = parseAddress(text, { anyPort: true });
  if (insecure || (tls && guard.isOn) || isLoopback(address)) return address;
  const missing = [
    ...(tls ? [] : ["--tls-cert and --tls-key"]),
    ...(guard.isOn ? [] : ["--token-file (with a token of role client)"]),
  ].join(" and ");
  throw new UsageError(
    `Serving on ${
      formatAddress(address)
    } needs ${missing}: without, anyone on the network can draw and read others' ` +
      "pictures. --insecure serves nevertheless, on a network that you trust",
  );
}

/** @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on */
export function startHttpServer(
  address: Address,
  runtime: JobRuntime,
  { tls, guard }: PageProtection,
): HttpServer {
  const names = [address.host, hostname()];
  const router = new Router({ dialects: dialectsOf(runtime), guard, names });
  const server = new RenewableServer(
    address,
    (request, { remoteAddr }) => router.answer(request, remoteAddr.hostname),
    tls,
    "--listen",
  );
  return {
    address: server.address,
    url: `${tls ? "https" : "http"}://${formatAddress(server.address)}`,
    renewTls: (pair) => server.renewTls(pair),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
