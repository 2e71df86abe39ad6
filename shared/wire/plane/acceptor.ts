/** Takes the connections that come to a socket, until it is closed. @module */

/** Before accepting is tried again when the system has no descriptors left. */
const ACCEPT_PAUSE_MS = 100;

export class Acceptor {
  readonly #listener: Deno.Listener;
  readonly #accepting: Promise<void>;
  readonly #closing = Promise.withResolvers<void>();
  #isClosed = false;

  /** @param take returns what the next connection is to wait for; never rejects */
  constructor(listener: Deno.Listener, take: (conn: Deno.Conn) => Promise<void> | undefined) {
    this.#listener = listener;
    this.#accepting = this.#accept(take);
  }

  /** Afterwards another one can listen there. Connections that were taken stay. */
  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#closing.resolve();
      this.#listener.close();
    }
    return this.#accepting;
  }

  async #accept(take: (conn: Deno.Conn) => Promise<void> | undefined): Promise<void> {
    for (;;) {
      let conn: Deno.Conn;
      try {
        conn = await this.#listener.accept();
      } catch {
        if (this.#isClosed) return;
        await this.#pause();
        continue;
      }
      // A connection with TLS has no such switch.
      if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay(true);
      const room = take(conn);
      if (room) await Promise.race([room, this.#closing.promise]);
    }
  }

  async #pause(): Promise<void> {
    const { promise: passed, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ACCEPT_PAUSE_MS);
    await Promise.race([passed, this.#closing.promise]);
    clearTimeout(timer);
  }
}
