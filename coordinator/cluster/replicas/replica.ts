/**
 * One replica: a worker at an address, the connection to it while there is one, and what is known about how it behaves.
 *
 * @module
 */

import type { Expert } from "../../../shared/engine/expert.ts";
import { TuttiError, WorkerError } from "../../../shared/errors.ts";
import { AwaitedSessions } from "./awaited_sessions.ts";
import { Heartbeat, inTime } from "./heartbeat.ts";
import { Loss } from "./loss.ts";
import type { ConnectReplica, ReplicaConnection, ReplicaLoad } from "./replica_connection.ts";
import type { ReplicaSettings } from "./replica_settings.ts";
import { RoundTrips } from "./round_trips.ts";
import { TravelTimes } from "./travel_times.ts";

export interface ReplicaOptions {
  /** HOST:PORT */
  readonly address: string;
  readonly connect: ConnectReplica;
  readonly settings: ReplicaSettings;
  /** @throws {TuttiError} if this is not the expert that is meant */
  readonly check: (expert: Expert) => void;
  /** Whether other replicas could take over. */
  readonly hasSpare: () => boolean;
  /** Told each time it answers while work is under way on it. */
  readonly onAnswer?: () => void;
}

/** Of two answers the later one: uptimes are told in seconds, and travel. */
const CLOCK_SLACK_SECONDS = 1;

export class Replica {
  readonly address: string;
  readonly times = new RoundTrips();
  readonly travelTimes: TravelTimes;
  /** What our own sessions and calls are using now. */
  ownWork = 0;
  readonly #options: ReplicaOptions;
  #link: Promise<Link> | undefined;
  /** That of `#link`, once it is there. */
  #linked: Link | undefined;
  #load: ReplicaLoad | undefined;
  #roundTripMs = Infinity;
  #losses = 0;
  #bannedUntil = -Infinity;
  #retryAt = -Infinity;
  #isBack = false;
  #refusal: Loss | undefined;
  #nextLook = -Infinity;
  readonly #closed = new AbortController();
  readonly #closing = new Set<Promise<void>>();

  constructor(options: ReplicaOptions) {
    this.address = options.address;
    this.#options = options;
    this.travelTimes = new TravelTimes(options.settings.linkBytesPerSecond);
  }

  get isBanned(): boolean {
    return performance.now() < this.#bannedUntil;
  }

  /** When the ban ends, and when it may be asked again nevertheless, if it is the last one; both as `performance.now()`. */
  get bannedUntil(): number {
    return this.#bannedUntil;
  }

  get retryAt(): number {
    return this.#retryAt;
  }

  /** Whether a banned one has answered since: it could take over if there were no other. */
  get isBack(): boolean {
    return this.#isBack && this.isBanned;
  }

  /** What it said when it last had no room, while it is banned for that. */
  get refusal(): Loss | undefined {
    return this.isBanned ? this.#refusal : undefined;
  }

  /** How much another session would share the worker with. */
  get busyness(): number {
    const { sessions = 0, queueDepth = 0, lanes = 1 } = this.#load ?? {};
    return (Math.max(this.ownWork, sessions) + queueDepth) / Math.max(1, lanes);
  }

  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Its last words about itself. */
  get isUnavailable(): boolean {
    return this.#load !== undefined && this.#load.state !== "serving";
  }

  /**
   * The connection, made if there is none.
   *
   * @throws {TuttiError} as `connectExpert()`, or if another expert answers there
   */
  async link(connectMs = this.#options.settings.connectMs): Promise<Link> {
    const linked = this.#linked;
    if (linked?.lost.aborted) this.#drop(linked.lost.reason);
    // Without a heartbeat another process may have taken the address.
    else if (linked && !linked.isWatched) {
      await this.#askLoad(linked).catch((error) => this.#drop(error, linked));
    }
    const link = this.#link ??= this.#connect(connectMs);
    try {
      return this.#linked = await link;
    } catch (error) {
      if (this.#link === link) this.#link = undefined;
      throw error;
    }
  }

  /** Asks how busy it is, so that `busyness` is of now; who does not answer is found out when it is used. */
  async refresh(): Promise<void> {
    const link = this.#linked;
    if (!link || link.lost.aborted) return;
    await this.#askLoad(link).catch((error) => this.lost(Loss.ofConnecting(error), link));
  }

  /** Finds out whether a banned one is back, in a while if it is not. Never rejects. */
  async look(): Promise<void> {
    const now = performance.now();
    if (!this.isBanned || this.#isBack || now < this.#nextLook) return;
    const { connectMs, maxRetryMs } = this.#options.settings;
    this.#nextLook = now + connectMs + maxRetryMs;
    const losses = this.#losses;
    const answers = await this.link().then(() => true, () => false);
    if (losses === this.#losses) this.#isBack = answers;
    this.#nextLook = performance.now() + maxRetryMs;
  }

  /** It did what it was asked to: losses before this one do not count any more. */
  succeeded(): void {
    this.#losses = 0;
  }

  /**
   * Keeps work away from it for a while; a connection that is of no use any more goes.
   *
   * @param link on which it happened, if it was connected: what many hear of one broken connection counts once
   */
  lost(loss: Loss, link?: Link): void {
    if (link && link !== this.#linked) return;
    const { isOfWorker, error, reason } = loss;
    this.#refusal = reason === "full" ? loss : undefined;
    const { banMs, maxBanMs, retryMs, maxRetryMs } = this.#options.settings;
    const now = performance.now();
    const times = 2 ** Math.min(this.#losses++, 20);
    this.#isBack = false;
    // A full worker may have room in a moment, and a plane that failed says little about the worker.
    const [base, longest] = reason === "full" || reason === "plane"
      ? [retryMs, maxRetryMs]
      : [banMs, maxBanMs];
    this.#bannedUntil = now + Math.min(base * times, longest);
    this.#retryAt = times === 1 && reason !== "full"
      ? now
      : now + Math.min(retryMs * times, maxRetryMs);
    if (isOfWorker) this.#drop(error);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#link?.catch(() => {});
    this.#drop(new TuttiError("CANCELLED", "The expert was closed"));
    await Promise.all(this.#closing);
  }

  /** The next one connects anew. */
  #drop(error: unknown, link = this.#linked): void {
    // Whoever else used it may have connected anew by now.
    if (link !== this.#linked) return;
    this.#link = this.#linked = undefined;
    if (!link) return;
    link.end(error);
    const closing = link.connection.close().catch(() => {});
    this.#closing.add(closing);
    closing.finally(() => this.#closing.delete(closing));
  }

  async #connect(timeoutMs: number): Promise<Link> {
    const { connect, settings, check } = this.#options;
    const connection = await connect(this.address, { timeoutMs, signal: this.#closed.signal });
    try {
      check(connection.expert);
      const { heartbeatMs: intervalMs, silenceMs, lingerMs } = settings;
      const awaited = new AwaitedSessions({
        ...{ worker: this.address, intervalMs, silenceMs },
        travelMs: (bytes) => this.travelTimes.longestMs(bytes),
      });
      const link: Link = new Link(connection, awaited, () => this.#watch(link), lingerMs);
      this.#load = undefined;
      await this.#askLoad(link);
      return link;
    } catch (error) {
      await connection.close().catch(() => {});
      throw error;
    }
  }

  #watch(link: Link): Disposable {
    const { settings } = this.#options;
    return new Heartbeat({
      worker: this.address,
      ask: (signal) => link.connection.askLoad(signal, link.awaited.ids),
      onAnswer: (load, ms) => {
        this.#answered(load, ms);
        link.awaited.answered(load.awaited ?? [], performance.now() - ms);
        this.#options.onAnswer?.();
      },
      onLost: (error) => {
        link.end(error);
        this.lost(Loss.ofConnecting(error), link);
      },
      intervalMs: settings.heartbeatMs,
      patienceMs: () => this.#patienceMs(),
    });
  }

  #patienceMs(): number {
    const { settings: { silenceMs, lastPatience }, hasSpare } = this.#options;
    return silenceMs * (hasSpare() ? 1 : lastPatience);
  }

  async #askLoad(link: Link): Promise<void> {
    const start = performance.now();
    const answer = link.connection.askLoad(this.#closed.signal);
    const load = await inTime(answer, this.address, this.#patienceMs());
    this.#answered(load, performance.now() - start);
  }

  #answered(load: ReplicaLoad, roundTripMs: number): void {
    const before = this.#load;
    this.#load = load;
    this.#roundTripMs = Math.min(roundTripMs, 0.8 * this.#roundTripMs + 0.2 * roundTripMs);
    if (before && load.uptimeSeconds < before.uptimeSeconds - CLOCK_SLACK_SECONDS) {
      throw new WorkerError(
        "UNAVAILABLE",
        `Worker ${this.address} was lost: it was started again`,
        {
          details: { worker: this.address },
        },
      );
    }
  }
}

/** A connection to a replica; watched while it is in use. */
export class Link {
  readonly connection: ReplicaConnection;
  /** The sessions on it whose answers are waited for. */
  readonly awaited: AwaitedSessions;
  readonly #lost = new AbortController();
  readonly #watch: () => Disposable;
  readonly #lingerMs: number;
  #heartbeat: Disposable | undefined;
  #users = 0;
  #lingering: ReturnType<typeof setTimeout> | undefined;

  constructor(
    connection: ReplicaConnection,
    awaited: AwaitedSessions,
    watch: () => Disposable,
    lingerMs: number,
  ) {
    this.connection = connection;
    this.awaited = awaited;
    this.#watch = watch;
    this.#lingerMs = lingerMs;
  }

  /** Fires with the error when the worker is given up. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get isWatched(): boolean {
    return this.#heartbeat !== undefined;
  }

  /** From now until disposal work is under way. */
  use(): Disposable {
    clearTimeout(this.#lingering);
    this.#users++;
    if (!this.lost.aborted) this.#heartbeat ??= this.#watch();
    let isUsed = true;
    return {
      [Symbol.dispose]: () => {
        if (!isUsed) return;
        isUsed = false;
        if (--this.#users > 0 || this.lost.aborted) return;
        const lingering = setTimeout(() => this.#rest(), this.#lingerMs);
        // A process that has nothing else to do may end.
        Deno.unrefTimer(lingering);
        this.#lingering = lingering;
      },
    };
  }

  /** It is of no use any more, and all work on it hears why. */
  end(error: unknown): void {
    this.#rest();
    if (!this.lost.aborted) this.#lost.abort(error);
  }

  #rest(): void {
    clearTimeout(this.#lingering);
    this.#heartbeat?.[Symbol.dispose]();
    this.#heartbeat = undefined;
  }
}
