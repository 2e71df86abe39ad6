/** Listens, and hands what comes to the router. @module */

import { hostname } from "node:os";
import { type PageProtection, parsePageAddress } from "../../../shared/http/page_protection.ts";
import { HttpServer } from "../../../shared/http/http_server.ts";
import { type Address, formatAddress } from "../../../shared/wire/address.ts";
import type { JobRuntime } from "../runtime/job_runtime.ts";
import { dialectsOf } from "./dialects.ts";
import { Router } from "./router.ts";

/** Where stable-diffusion-webui listens, and its clients look first. */
export const DEFAULT_LISTEN = "127.0.0.1:7860";

/** Of the files that the process may open: workers, pictures and the store need others. */
const SHARE = 1 / 4;

export interface ApiServer extends AsyncDisposable {
  readonly address: Address;
  readonly url: string;
  readonly renewTls: HttpServer["renewTls"];
}

/** Reads `--listen`, as `parsePageAddress()`. */
export function parseListenAddress(
  text: string,
  insecure: boolean,
  protection: PageProtection,
): Address {
  return parsePageAddress(text, insecure, protection, {
    doing: "Serving on",
    does: "serves",
    role: "client",
    risk: "draw and read others' pictures",
  });
}

/** @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on */
export async function startApiServer(
  address: Address,
  runtime: JobRuntime,
  { tls, guard }: PageProtection,
): Promise<ApiServer> {
  const names = [address.host, hostname()];
  const router = new Router({ dialects: dialectsOf(runtime), guard, names });
  const server = await HttpServer.open({
    ...{ address, tls, share: SHARE, flag: "--listen" },
    handler: (request, peer) => router.answer(request, peer),
  });
  return {
    address: server.address,
    url: `${tls ? "https" : "http"}://${formatAddress(server.address)}`,
    renewTls: (pair) => server.renewTls(pair),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
