/**
 * Deno's own HTTP server, which speaks WebSocket, with a certificate that can be renewed, and that outlives a lack of
 * descriptors: Deno's does neither. Its connections are not bounded; pages for probes are on `HttpServer`, whose are.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { KeyPair } from "../security/tls_files.ts";
import { type Address, formatAddress } from "../wire/address.ts";

export type Handler = (
  request: Request,
  info: Deno.ServeHandlerInfo<Deno.NetAddr>,
) => Promise<Response>;

/** A port that is not free by then was taken by somebody else. */
const PORT_LIMIT_MS = 2_000;
const PAUSE_MS = 10;

/** Before a port that was lost is listened on again. */
const LOST_PAUSE_MS = 100;

export class RenewableServer implements AsyncDisposable {
  /** The port that was taken. */
  readonly address: Address;
  readonly #handler: Handler;
  readonly #hasTls: boolean;
  readonly #flag: string;
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  /** Servers that answer what they were asked, and nothing new. */
  #leaving: Promise<unknown> = Promise.resolve();
  #isOver = false;

  /**
   * @param flag that gave the address
   * @throws {TuttiError} FAILED_PRECONDITION if the address cannot be listened on
   */
  constructor(
    { host, port }: Address,
    handler: Handler,
    tls: KeyPair | undefined,
    flag: "--http" | "--listen" = "--http",
  ) {
    this.#handler = handler;
    this.#hasTls = tls !== undefined;
    this.#flag = flag;
    this.#server = serve({ host, port }, { handler, tls, flag });
    this.address = { host, port: this.#server.addr.port };
    this.#watch(this.#server, tls);
  }

  /**
   * New connections, at the same port, see this certificate; they are refused for a moment before. No effect on plain HTTP.
   *
   * @throws {TuttiError} FAILED_PRECONDITION if somebody took the port meanwhile: then nothing is served any more
   */
  async renewTls(tls: KeyPair): Promise<void> {
    if (!this.#hasTls || this.#isOver) return;
    this.#leave();
    const end = performance.now() + PORT_LIMIT_MS;
    while (!this.#isOver) {
      try {
        this.#serve(tls);
        return;
      } catch (error) {
        // The listener that leaves is closed in the background.
        if (performance.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  /** A client that keeps its connection open does not hold this up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#leave();
    await this.#leaving;
  }

  #serve(tls: KeyPair | undefined): void {
    this.#server = serve(this.address, { handler: this.#handler, tls, flag: this.#flag });
    this.#watch(this.#server, tls);
  }

  /** Deno gives its port up when there is no descriptor for one more connection; unheard, that would end the process. */
  #watch(server: Deno.HttpServer<Deno.NetAddr>, tls: KeyPair | undefined): void {
    server.finished.catch(async () => {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, LOST_PAUSE_MS));
        // Over, or renewed meanwhile.
        if (this.#server !== server) return;
        try {
          return this.#serve(tls);
        } catch {
          // Still none.
        }
      }
    });
  }

  #leave(): void {
    // One that has lost its port rejects; there is nothing of it left to wait for.
    const left = this.#server?.shutdown().catch(() => {});
    this.#leaving = Promise.all([this.#leaving, left]);
    this.#server = undefined;
  }
}

interface Serving {
  readonly handler: Handler;
  readonly tls: KeyPair | undefined;
  readonly flag: string;
}

function serve({ host, port }: Address, { handler, tls, flag }: Serving) {
  try {
    return Deno.serve({ hostname: host, port, ...tls, onListen: () => {} }, handler);
  } catch (error) {
    const address = formatAddress({ host, port });
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `Cannot listen on ${address}: ${TuttiError.from(error).message}. ` +
        `Choose another address with ${flag}; port 0 takes a free one`,
      { cause: error, details: { address } },
    );
  }
}
