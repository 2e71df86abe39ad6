/**
 * Pictures of the queue's jobs, for whoever is not where they were drawn: PNG files in the object store `tutti_pictures`,
 * each under the SHA-256 of its bytes, so that a job that is drawn twice takes the room of one.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { ObjectStore } from "nats";
import { FormatError, TuttiError } from "../../../shared/errors.ts";
import { JETSTREAM_TIMEOUT_MS, type Nats } from "../../../shared/nats/connect.ts";
import { formatBytes } from "../../../shared/terminal/units.ts";
import { JOB_KEPT_MS, type StoredImage } from "./job_record.ts";

const NAME = "tutti_pictures";
/** Of a PNG of the largest size there is. Whoever may write to the store may write more. */
const MAX_BYTES = 512 * 2 ** 20;

export class QueuedPictures {
  readonly #nats: Nats;
  #objects: Promise<ObjectStore> | undefined;

  constructor(nats: Nats) {
    this.#nats = nats;
  }

  /** @throws {TuttiError} if NATS is away, or its store is full */
  async put(bytes: Uint8Array, { sha256 }: Pick<StoredImage, "sha256">): Promise<void> {
    await this.#call("writing to", async (objects) => {
      if (!await objects.info(sha256)) await objects.putBlob({ name: sha256 }, bytes);
    });
  }

  /**
   * @throws {TuttiError} NOT_FOUND if it is not there any more
   * @throws {FormatError} if it is too large, or another picture than the job's
   */
  async get({ path, sha256 }: StoredImage): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#call("reading from", async (objects) => {
      const info = await objects.info(sha256);
      if ((info?.size ?? 0) > MAX_BYTES) {
        throw new FormatError(
          `Picture "${path}" must have at most ${formatBytes(MAX_BYTES)} in ${NAME}: ` +
            `current value is ${formatBytes(info!.size)}`,
        );
      }
      return info && await objects.getBlob(sha256);
    });
    if (!bytes) {
      throw new TuttiError(
        "NOT_FOUND",
        `Picture "${path}" is not in ${NAME} (any more): it is where the coordinator drew it`,
        { details: { sha256 } },
      );
    }
    const found = createHash("sha256").update(bytes).digest("hex");
    if (found === sha256) return Uint8Array.from(bytes);
    throw new FormatError(
      `Picture "${path}" in ${NAME} must have the SHA-256 ${sha256}: current value is ${found}`,
    );
  }

  async #call<T>(verb: string, call: (objects: ObjectStore) => Promise<T>): Promise<T> {
    try {
      return await call(await (this.#objects ??= this.#open()));
    } catch (error) {
      this.#objects = undefined;
      if (error instanceof TuttiError) throw error;
      throw this.#nats.error(error, `${verb} the object store ${NAME}`);
    }
  }

  #open(): Promise<ObjectStore> {
    const jetStream = this.#nats.connection.jetstream({ timeout: JETSTREAM_TIMEOUT_MS });
    const description = "Pictures of Tutti's queue";
    // In nanoseconds.
    return jetStream.views.os(NAME, { ttl: JOB_KEPT_MS * 1e6, description });
  }
}
