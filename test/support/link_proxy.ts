/**
 * A TCP link with a delay and faults: a proxy in this process that passes on what client and server say to each other,
 * later, slower or wrong. For kernels without `netem`, and for faults that no kernel makes at a named byte.
 *
 * What it does not have is TCP's own behaviour over distance (slow start, congestion): either side talks to the proxy next
 * to it. A lost packet is what a receiver sees of one: nothing for the time of a retransmission, then all at once. A delay is
 * what the bytes wait here; the way to the proxy and its own work come on top.
 *
 * @module
 */

import { type Fault, type Link, LinkDirection } from "./link_direction.ts";
import { openShortSleep, type ShortSleep } from "./short_sleep.ts";

export type { Fault, Link };
export type Direction = "toServer" | "toClient";

export interface LinkProxyOptions {
  /** Where the server listens. */
  readonly server: Deno.ConnectOptions;
  /** Where to listen. @default a free port of 127.0.0.1 */
  readonly listen?: Deno.TcpListenOptions;
  /** Of both directions. @default no delay, no rate */
  readonly link?: Link;
  /** Of one that differs. */
  readonly toServer?: Link;
  readonly toClient?: Link;
}

/** One client's connection through the proxy. */
export interface LinkedConnection {
  /** Bytes that were passed on; what a fault dropped does not count. */
  readonly passedBytes: Readonly<Record<Direction, number>>;
  /** Plans a fault at a byte of this connection; bytes that were passed on are past. */
  plan(direction: Direction, fault: Fault): void;
  /** Ends both sides now; what is under way is lost. */
  cut(): void;
  /** Half open: passes nothing on in either direction, not even that a side has gone; both ends stay open. */
  stall(): void;
  /** Passes on again, beginning with what came meanwhile. */
  resume(): void;
  /** Settles when both sides are closed. */
  readonly closed: Promise<void>;
}

export class LinkProxy implements AsyncDisposable {
  readonly #options: LinkProxyOptions;
  readonly #listener: Deno.TcpListener;
  readonly #open = new Set<Connection>();
  readonly #accepting: Promise<void>;
  readonly #starting = new Set<Promise<void>>();
  readonly #planned: [Direction, Fault][] = [];
  readonly #shortSleep = openShortSleep();
  #isDisposed = false;

  /** @throws {Deno.errors.AddrInUse} and what else `Deno.listen()` throws */
  constructor(options: LinkProxyOptions) {
    this.#options = options;
    this.#listener = Deno.listen({ ...(options.listen ?? { hostname: "127.0.0.1", port: 0 }) });
    this.#accepting = this.#accept();
  }

  /** HOST:PORT for clients. */
  get address(): string {
    return `${this.#listener.addr.hostname}:${this.port}`;
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Those that are open, the oldest first. */
  get connections(): readonly LinkedConnection[] {
    return [...this.#open];
  }

  /** Plans a fault for the next connection alone. */
  planNext(direction: Direction, fault: Fault): void {
    this.#planned.push([direction, fault]);
  }

  /** Cuts all connections. New ones are accepted. */
  cut(): void {
    for (const connection of this.#open) connection.cut();
  }

  /** Stalls all connections. New ones work. */
  stall(): void {
    for (const connection of this.#open) connection.stall();
  }

  /** Refuses new connections and cuts all. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#starting);
    const closed = [...this.#open].map((connection) => connection.closed);
    this.cut();
    await Promise.all(closed);
    this.#shortSleep[Symbol.dispose]();
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) {
      const starting = this.#start(client);
      this.#starting.add(starting);
      starting.finally(() => this.#starting.delete(starting));
    }
  }

  async #start(client: Deno.TcpConn): Promise<void> {
    const planned = this.#planned.splice(0);
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect(this.#options.server);
    } catch {
      client.close(); // As if the server itself had refused, only later.
      return;
    }
    const { link = {}, toServer = link, toClient = link } = this.#options;
    const connection = new Connection(client, server, { toServer, toClient }, this.#shortSleep);
    for (const [direction, fault] of planned) connection.plan(direction, fault);
    this.#open.add(connection);
    connection.run().finally(() => this.#open.delete(connection));
  }
}

class Connection implements LinkedConnection {
  readonly #ends: readonly Deno.TcpConn[];
  readonly #directions: Readonly<Record<Direction, LinkDirection>>;
  readonly #closed = Promise.withResolvers<void>();
  #isCut = false;

  constructor(
    client: Deno.TcpConn,
    server: Deno.TcpConn,
    links: Readonly<Record<Direction, Link>>,
    shortSleep: ShortSleep,
  ) {
    this.#ends = [client, server];
    // Small messages shall wait for the link's delay and for nothing else.
    for (const end of this.#ends) end.setNoDelay(true);
    const cut = () => this.cut();
    const direction = (from: Deno.TcpConn, to: Deno.TcpConn, link: Link) =>
      new LinkDirection({ from, to, link, cut, shortSleep });
    this.#directions = {
      toServer: direction(client, server, links.toServer),
      toClient: direction(server, client, links.toClient),
    };
  }

  get passedBytes(): Readonly<Record<Direction, number>> {
    const { toServer, toClient } = this.#directions;
    return { toServer: toServer.passedBytes, toClient: toClient.passedBytes };
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  plan(direction: Direction, fault: Fault): void {
    this.#directions[direction].plan(fault);
  }

  cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    for (const direction of Object.values(this.#directions)) direction.stop();
    for (const end of this.#ends) end.close();
  }

  stall(): void {
    for (const direction of Object.values(this.#directions)) direction.stall();
  }

  resume(): void {
    for (const direction of Object.values(this.#directions)) direction.resume();
  }

  /** Passes bytes on until both sides have said all, or one is gone. */
  async run(): Promise<void> {
    await Promise.all(Object.values(this.#directions).map((direction) => direction.run()));
    this.cut();
    this.#closed.resolve();
  }
}
