/**
 * A bucket of JetStream KV in which nobody overwrites what they have not seen: every write names the revision that it
 * follows.
 *
 * @module
 */

import { type KV, NatsError } from "nats";
import { JETSTREAM_TIMEOUT_MS, type Nats } from "./connect.ts";

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
}

/** JetStream's error codes (https://github.com/nats-io/nats-server, server/errors.json). */
const WRONG_LAST_SEQUENCE = 10071;

export class CasBucket {
  readonly #nats: Nats;
  readonly #kv: KV;
  readonly #name: string;

  private constructor(nats: Nats, kv: KV, name: string) {
    this.#nats = nats;
    this.#kv = kv;
    this.#name = name;
  }

  /** Makes the bucket if it is not there. */
  static async open(nats: Nats, name: string, options: CasBucketOptions): Promise<CasBucket> {
    const { ttlMs, description } = options;
    await nats.jetStream();
    try {
      const jetStream = nats.connection.jetstream({ timeout: JETSTREAM_TIMEOUT_MS });
      const settings = { history: 1, ttl: ttlMs, description, timeout: JETSTREAM_TIMEOUT_MS };
      return new CasBucket(nats, await jetStream.views.kv(name, settings), name);
    } catch (error) {
      throw nats.error(error, `opening the bucket ${name}`);
    }
  }

  async get(key: string): Promise<BucketEntry | undefined> {
    const entry = await this.#call("reading from", () => this.#kv.get(key));
    if (entry?.operation !== "PUT") return undefined;
    return { value: Uint8Array.from(entry.value), revision: entry.revision };
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
      return await call();
    } catch (error) {
      throw this.#nats.error(error, `${doing} the bucket ${this.#name}`);
    }
  }
}

/** JetStream's own number for what went wrong. */
export function apiErrorCode(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}
