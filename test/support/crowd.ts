import { parseAddress } from "../../shared/wire/address.ts";
import { closeConn } from "../../shared/wire/plane/conn_io.ts";

/** Connections of somebody who says nothing. */
export class Crowd implements AsyncDisposable {
  readonly #conns: Deno.Conn[] = [];
  readonly #reads: Promise<unknown>[] = [];
  #closed = 0;

  /** How many of them the other end closed. */
  get closed(): number {
    return this.#closed;
  }

  /** At most so many: a port may be lost to them. */
  static async of(count: number, address: string): Promise<Crowd> {
    const crowd = new Crowd();
    const { host: hostname, port } = parseAddress(address);
    while (crowd.#conns.length < count) {
      const conn = await Deno.connect({ hostname, port }).catch(() => undefined);
      if (!conn) break;
      crowd.#conns.push(conn);
      const read = conn.read(new Uint8Array(1)).catch(() => {});
      crowd.#reads.push(read.then(() => crowd.#closed++));
    }
    return crowd;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#conns) closeConn(conn);
    await Promise.all(this.#reads);
  }
}
