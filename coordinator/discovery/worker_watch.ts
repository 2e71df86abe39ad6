/**
 * Follows the workers that announce themselves over NATS. News come through a plain subscription to the bucket's subjects,
 * which the client renews by itself when it reconnects and of which the server keeps nothing; every few seconds everything
 * is read again, so that nothing that was missed stays missed. While the server is away the view stays as it was.
 *
 * @module
 */

import type { JetStreamManager, Msg, Subscription } from "nats";
import { TuttiError } from "../../shared/errors.ts";
import { Nats } from "../../shared/nats/connect.ts";
import type { NatsOptions } from "../../shared/nats/nats_options.ts";
import {
  decodeAnnouncement,
  REFRESH_MS,
  WORKERS_BUCKET,
} from "../../shared/nats/worker_announcement.ts";
import { bucketSubject, isDeletion, keyOf, listKeys, readEntries } from "./read_bucket.ts";
import { WorkerView } from "./worker_view.ts";

export interface WorkerWatchOptions {
  /** A line for people: the server goes and comes, an entry is no worker. */
  readonly onNotice?: (text: string) => void;
}

/** Time between readings of everything, ms. */
const RELIST_MS = 5_000;
/** The same while news do not come by themselves, ms. */
const POLL_MS = 1_500;
/** Readings never follow each other faster, ms. */
const MIN_PAUSE_MS = 250;
/** Waits before a subscription that the server ended is made anew, ms. */
const RESUBSCRIBE_MIN_MS = 1_000;
const RESUBSCRIBE_MAX_MS = 30_000;
/** Lines about entries that are no workers: whoever writes nonsense shall not fill logs. */
const MAX_SKIP_NOTICES = 50;

export class WorkerWatch implements AsyncDisposable {
  readonly view: WorkerView;
  readonly #nats: Nats;
  readonly #jetStream: JetStreamManager;
  readonly #notice: (text: string) => void;
  readonly #skipped = new Set<string>();
  #subscription: Subscription | undefined;
  #resubscribeAt = 0;
  #resubscribeMs = RESUBSCRIBE_MIN_MS;
  #hasEnded = false;
  #wake = () => {};

  private constructor(nats: Nats, jetStream: JetStreamManager, { onNotice }: WorkerWatchOptions) {
    this.#notice = onNotice ?? (() => {});
    this.view = new WorkerView({ onNotice: this.#notice });
    this.#nats = nats;
    this.#jetStream = jetStream;
    nats.onChange((isConnected) => {
      if (!isConnected) this.#freeze("the NATS server is away");
      this.#wake();
    });
    this.#subscribe();
  }

  /**
   * Settles when everything has been read once.
   *
   * @throws {TuttiError} if the server cannot be reached, refuses the login or has no JetStream
   */
  static async open(options: NatsOptions, settings: WorkerWatchOptions = {}): Promise<WorkerWatch> {
    const nats = await Nats.connect(options);
    try {
      const watch = new WorkerWatch(nats, await nats.jetStream(), settings);
      // Later a problem is a notice; here it is told to whoever asked.
      await watch.#readAll().catch((error) => {
        throw nats.error(error, "reading which workers there are");
      });
      void watch.#run();
      return watch;
    } catch (error) {
      await nats[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Addresses of the NATS servers, for messages. */
  get servers(): string {
    return this.#nats.servers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hasEnded = true;
    this.#wake();
    await this.#nats[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    while (!this.#hasEnded) {
      await this.#pause();
      if (this.#hasEnded || !this.#nats.isConnected) continue;
      if (!this.#subscription && performance.now() >= this.#resubscribeAt) this.#subscribe();
      await this.#read();
    }
  }

  async #read(): Promise<void> {
    try {
      await this.#readAll();
    } catch (error) {
      if (this.#hasEnded) return;
      this.#freeze(this.#nats.error(error, "reading which workers there are").message);
    }
  }

  /** Only a server that answers this is believed that a worker says nothing new. */
  async #readAll(): Promise<void> {
    const asOf = performance.now();
    const keys = await listKeys(this.#jetStream, WORKERS_BUCKET);
    // Of those who spoke up just now there is nothing to learn.
    const silent = keys.filter((key) => !this.view.hasHeard(key, asOf - 2 * REFRESH_MS));
    const entries = await readEntries(this.#jetStream, WORKERS_BUCKET, silent);
    if (this.view.isStale) {
      this.view.thaw();
      this.#notice(`NATS at ${this.#nats.servers} is back`);
    }
    for (const { key, value } of entries) this.#take(key, value, { isLive: false });
    this.view.expire(asOf, new Set(keys));
  }

  #subscribe(): void {
    const subscription = this.#nats.connection.subscribe(bucketSubject(WORKERS_BUCKET), {
      callback: (error, message) => {
        if (error) this.#subscriptionEnded(subscription, error);
        else this.#receive(message);
      },
    });
    this.#subscription = subscription;
  }

  /** The server ends it when the user may not, or may no longer, subscribe. */
  #subscriptionEnded(subscription: Subscription, error: Error): void {
    if (this.#subscription !== subscription) return;
    this.#subscription = undefined;
    this.#resubscribeAt = performance.now() + this.#resubscribeMs;
    this.#resubscribeMs = Math.min(RESUBSCRIBE_MAX_MS, 2 * this.#resubscribeMs);
    const { message } = this.#nats.error(error, "following the workers");
    this.#notice(`warning: ${message}. Until then they are listed every ${POLL_MS / 1000} s`);
    this.#wake();
  }

  #receive(message: Msg): void {
    this.#resubscribeMs = RESUBSCRIBE_MIN_MS;
    const key = keyOf(WORKERS_BUCKET, message.subject);
    try {
      if (isDeletion({ header: message.headers })) this.view.left(key);
      else this.#take(key, message.data, { isLive: true });
    } catch (error) {
      // An exception here would end the connection; headers are read only when they are asked for.
      this.#skip(TuttiError.from(error));
    }
  }

  #take(key: string, value: Uint8Array, how: { readonly isLive: boolean }): void {
    try {
      this.view.heard(decodeAnnouncement(key, value), how);
    } catch (error) {
      this.#skip(TuttiError.from(error));
    }
  }

  /** Each entry's problem is told once. */
  #skip({ message }: TuttiError): void {
    if (this.#skipped.has(message) || this.#skipped.size > MAX_SKIP_NOTICES) return;
    this.#skipped.add(message);
    const isLast = this.#skipped.size > MAX_SKIP_NOTICES;
    this.#notice(
      isLast
        ? `warning: more than ${MAX_SKIP_NOTICES} entries of ${WORKERS_BUCKET} are no workers: no more are told of`
        : `warning: ${message}. It is skipped`,
    );
  }

  #freeze(reason: string): void {
    if (this.view.isStale) return;
    this.view.freeze();
    const count = this.view.workers().length;
    this.#notice(
      `warning: ${reason}. Until it is back, the workers that were known last (${count}) are used`,
    );
  }

  /** Until the next reading is due, or the connection changes. */
  async #pause(): Promise<void> {
    const { isStale, nextExpiry } = this.view;
    const everyMs = this.#subscription && !isStale ? RELIST_MS : POLL_MS;
    const leaseMs = isStale ? Infinity : nextExpiry - performance.now();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.max(MIN_PAUSE_MS, Math.min(everyMs, leaseMs)));
    this.#wake = resolve;
    if (this.#hasEnded) resolve();
    await promise;
    clearTimeout(timer);
  }
}
