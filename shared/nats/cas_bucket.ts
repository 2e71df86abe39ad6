/**
 * A bucket of JetStream KV in which nobody overwrites what they have not seen: every write names the revision that it
 * follows.
 *
 * @module
 */

import { ErrorCode, type KV, NatsError } from "nats";
import { JETSTREAM_TIMEOUT_MS, type Nats } from "./connect.ts";
import { isNotFound } from "./nats_errors.ts";

export interface CasBucketOptions {
  /** How long a value stays that is not written again, ms. */
  readonly ttlMs: number;
  /** For people who look at the server. */
  readonly description: string;
}

export interface BucketEntry {
  readonly value: Uint8Array<ArrayBuffer>;
  /** Grows with each write to the bucket. */
  readonly revision: number;
  /** By the server's clock, milliseconds since 1970. */
  readonly writtenAt: number;
}

/** JetStream's error codes (https://github.com/nats-io/nats-server, server/errors.json). */
const WRONG_LAST_SEQUENCE = 10071;

export class CasBucket {
  readonly #nats: Nats;
  readonly #name: string;
  readonly #options: CasBucketOptions;
  #kv!: KV;

  private constructor(nats: Nats, name: string, options: CasBucketOptions) {
    this.#nats = nats;
    this.#name = name;
    this.#options = options;
  }

  /** Makes the bucket if it is not there; so does each call that finds it gone. */
  static async open(nats: Nats, name: string, options: CasBucketOptions): Promise<CasBucket> {
    const bucket = new CasBucket(nats, name, options);
    await nats.jetStream();
    try {
      await bucket.#open();
      return bucket;
    } catch (error) {
      throw nats.error(error, `opening the bucket ${name}`);
    }
  }

  async #open(): Promise<void> {
    const { ttlMs, description } = this.#options;
    const jetStream = this.#nats.connection.jetstream({ timeout: JETSTREAM_TIMEOUT_MS });
    const settings = { history: 1, ttl: ttlMs, description, timeout: JETSTREAM_TIMEOUT_MS };
    this.#kv = await jetStream.views.kv(this.#name, settings);
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    const entry = await this.#call("reading from", () => this.#kv.get(key));
    // As the library's create() sees it: whatever is neither of these is a value.
    if (!entry || entry.operation === "DEL" || entry.operation === "PURGE") return undefined;
    const { value, revision, created } = entry;
    return { value: Uint8Array.from(value), revision, writtenAt: created.getTime() };
  }

  /** @returns the new revision; undefined if the key is there already */
  create(key: string, value: Uint8Array | string): Promise<number | undefined> {
    return this.#write(() => this.#kv.create(key, value));
  }

  /** @returns the new revision; undefined if somebody has written or deleted the key since `revision` */
  update(
    key: string,
    value: Uint8Array | string,
    revision: number,
  ): Promise<number | undefined> {
    return this.#write(() => this.#kv.update(key, value, revision));
  }

  /** @returns whether it was still at this revision */
  async delete(key: string, revision: number): Promise<boolean> {
    const deleted = await this.#write(async () => {
      await this.#kv.delete(key, { previousSeq: revision });
      return revision;
    });
    return deleted !== undefined;
  }

  async keys(): Promise<string[]> {
    return await this.#call("listing", async () => await Array.fromAsync(await this.#kv.keys()));
  }

  async #write(write: () => Promise<number>): Promise<number | undefined> {
    return await this.#call("writing to", async () => {
      try {
        return await write();
      } catch (error) {
        if (apiErrorCode(error) === WRONG_LAST_SEQUENCE) return undefined;
        throw error;
      }
    });
  }

  async #call<T>(doing: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call().catch(async (error) => {
        // A server that came back may have forgotten the bucket.
        if (!isUnanswered(error)) throw error;
        await this.#open();
        return await call();
      });
    } catch (error) {
      throw this.#nats.error(error, `${doing} the bucket ${this.#name}`);
    }
  }
}

/** Whether no stream took the message: it is gone, or has no leader now. */
function isUnanswered(error: unknown): boolean {
  return isNotFound(error) ||
    error instanceof NatsError && error.code === ErrorCode.NoResponders && !error.api_error;
}

/** JetStream's own number for what went wrong. */
export function apiErrorCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}
