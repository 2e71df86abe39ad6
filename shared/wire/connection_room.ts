/**
 * Room for so many connections on a port, and who has to go when there is no more: Deno's servers accept nothing again
 * once one accept found no file descriptor left, and whoever connects and says nothing must not keep others out.
 *
 * @module
 */

/** A connection that has said nothing by then ends, ms: a handshake over a slow line takes a second or two. */
export const SILENCE_MS = 5_000;

const SWEEP_MS = 500;

/** More than the sessions, callers and probes of one process. */
const MAX_CONNECTIONS = 1000;

/** What many systems give a process, where this one does not say. */
const USUAL_FILES = 1024;

/** What is needed of node's sockets. */
export interface Socket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  destroy(): unknown;
  once(event: "close", listener: () => void): unknown;
}

interface Connection {
  readonly socket: Socket;
  readonly key: string;
  readonly address: string;
  /** When it came, or its last call ended: `performance.now()`. */
  since: number;
  /** Whether it has made a call. */
  hasSpoken: boolean;
  /** Calls that it waits for. */
  calls: number;
}

export class ConnectionRoom {
  readonly capacity: number;
  /** By far end; in the order in which they came. */
  readonly #connections = new Map<string, Connection>();
  readonly #silenceMs: number;
  #sweep: ReturnType<typeof setInterval> | undefined;

  constructor(capacity: number, { silenceMs = SILENCE_MS } = {}) {
    this.capacity = capacity;
    this.#silenceMs = silenceMs;
  }

  /**
   * For a port that may take this share of the files that the process may open. The rest is for models, planes, other
   * ports, and for the 511 connections that may wait to be accepted: those beyond the room are accepted, too, before they
   * are closed.
   */
  static async ofShare(share: number): Promise<ConnectionRoom> {
    return new ConnectionRoom(Math.min(MAX_CONNECTIONS, Math.floor(await maxOpenFiles() * share)));
  }

  get size(): number {
    return this.#connections.size;
  }

  /**
   * Lets it in, if need be in the place of one that makes no call: from the address that has most of those, one that has
   * never made any first, then the one that has waited longest. One address gets half of the room at most. Where nobody
   * can go the new one is closed.
   */
  admit(socket: Socket): void {
    const { remoteAddress: address = "" } = socket;
    const own = this.#from(address);
    const hasShare = own.length < Math.ceil(this.capacity / 2);
    if (!hasShare || this.size >= this.capacity) {
      const leaving = victim(hasShare ? [...this.#connections.values()] : own);
      if (!leaving) return void socket.destroy();
      this.#remove(leaving);
      leaving.socket.destroy();
    }
    const key = keyOf(socket);
    const connection = {
      socket,
      key,
      address,
      since: performance.now(),
      hasSpoken: false,
      calls: 0,
    };
    this.#connections.set(key, connection);
    socket.once("close", () => this.#remove(connection));
    if (this.#sweep !== undefined) return;
    this.#sweep = setInterval(() => this.#endSilent(), SWEEP_MS);
    Deno.unrefTimer(this.#sweep);
  }

  /** Tells that a call begins on this connection. @returns to be called when it ends */
  beginCall(socket: Socket): () => void {
    const connection = this.#connections.get(keyOf(socket));
    if (!connection) return () => {};
    connection.hasSpoken = true;
    connection.calls++;
    return () => {
      connection.calls--;
      connection.since = performance.now();
    };
  }

  #from(address: string): Connection[] {
    return [...this.#connections.values()].filter((connection) => connection.address === address);
  }

  #remove(connection: Connection): void {
    const { key } = connection;
    if (this.#connections.get(key) === connection) this.#connections.delete(key);
    if (this.size > 0) return;
    clearInterval(this.#sweep);
    this.#sweep = undefined;
  }

  #endSilent(): void {
    const latest = performance.now() - this.#silenceMs;
    for (const connection of [...this.#connections.values()]) {
      if (connection.hasSpoken || connection.since > latest) continue;
      this.#remove(connection);
      connection.socket.destroy();
    }
  }
}

/** Who has to go; undefined if all of them wait for an answer. */
function victim(connections: readonly Connection[]): Connection | undefined {
  const idle = connections.filter(({ calls }) => calls === 0);
  const silent = idle.filter(({ hasSpoken }) => !hasSpoken);
  const candidates = mostOfOneAddress(silent.length > 0 ? silent : idle);
  return candidates.toSorted((a, b) => a.since - b.since)[0];
}

function mostOfOneAddress(connections: readonly Connection[]): readonly Connection[] {
  const byAddress = Object.values(Object.groupBy(connections, ({ address }) => address));
  return byAddress.toSorted((a, b) => b!.length - a!.length)[0] ?? [];
}

/** The far end, which is one connection's at a time. */
function keyOf({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">) {
  return `${remoteAddress} ${remotePort}`;
}

async function maxOpenFiles(): Promise<number> {
  const limits = await Deno.readTextFile("/proc/self/limits").catch(() => "");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? USUAL_FILES);
}
