/**
 * Whether a port accepts connections. Deno's servers stop for good, and say nothing, once one accept found no file
 * descriptor left: the system goes on taking connections for them that nobody ever answers.
 *
 * @module
 */

import { closeConn } from "./plane/conn_io.ts";
import type { Socket } from "./connection_room.ts";
import type { Address } from "./address.ts";

/** Time that a connection may take to be accepted, ms: a busy process takes a second. */
const ACCEPT_LIMIT_MS = 3_000;

/** Between two looks, ms. */
const LOOK_MS = 10_000;

/** What is needed of node's servers. */
export interface Listener {
  on(event: "connection", listener: (socket: Socket) => void): unknown;
  once(event: "error", listener: (error: Error) => void): unknown;
  off(event: "error", listener: (error: Error) => void): unknown;
  close(): unknown;
  listen(port: number, host: string, onListening: () => void): unknown;
}

export class PortWatch implements Disposable {
  readonly #listener: Listener;
  readonly #address: Address;
  /** Far ports of what was accepted since the look began, and what to do when another one is. */
  #accepted: Set<number> | undefined;
  #onAccepted = () => {};
  readonly #timer: ReturnType<typeof setInterval>;
  #look: Promise<boolean> | undefined;
  #isOver = false;

  /** @param address what the listener listens on, with the port that was taken */
  constructor(listener: Listener, address: Address) {
    this.#listener = listener;
    this.#address = address;
    listener.on("connection", ({ remotePort }) => {
      if (remotePort === undefined) return;
      this.#accepted?.add(remotePort);
      this.#onAccepted();
    });
    this.#timer = setInterval(() => void this.isAccepting(), LOOK_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** Whether a connection is accepted; if not, the port is opened anew. Those who ask at a time share one look. */
  isAccepting(): Promise<boolean> {
    return this.#look ??= this.#isAccepted().then(async (isAccepted) => {
      if (!isAccepted && !this.#isOver) await this.#reopen().catch(() => {});
      return isAccepted;
    }).finally(() => this.#look = undefined);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearInterval(this.#timer);
  }

  async #isAccepted(): Promise<boolean> {
    const accepted = this.#accepted = new Set();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), ACCEPT_LIMIT_MS);
    let conn: Deno.TcpConn | undefined;
    try {
      const { host, port } = this.#address;
      conn = await Deno.connect({ hostname: reachable(host), port });
      const { port: ownPort } = conn.localAddr;
      this.#onAccepted = () => accepted.has(ownPort) && resolve(true);
      this.#onAccepted();
      return await promise;
    } catch {
      // Refused, or there is no descriptor left for this one either.
      return false;
    } finally {
      clearTimeout(timer);
      this.#accepted = undefined;
      this.#onAccepted = () => {};
      if (conn) closeConn(conn);
    }
  }

  /** Connections that are there go on. */
  #reopen(): Promise<void> {
    const { host, port } = this.#address;
    return new Promise((resolve, reject) => {
      this.#listener.once("error", reject);
      this.#listener.close();
      this.#listener.listen(port, host, () => {
        this.#listener.off("error", reject);
        resolve();
      });
    });
  }
}

/** Every address of this host is no address to connect to. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}
