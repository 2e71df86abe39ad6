/**
 * Checkpoints of queued jobs: the newest of each in the bucket `tutti_checkpoints`. One that is larger than a message may
 * be lies in the object store of that name, in pieces, and the bucket says where.
 *
 * @module
 */

import type { ObjectStore } from "nats";
import { FormatError } from "../../../shared/errors.ts";
import { CasBucket } from "../../../shared/nats/cas_bucket.ts";
import { JETSTREAM_TIMEOUT_MS, type Nats } from "../../../shared/nats/connect.ts";
import type { CheckpointStore } from "../checkpoint_store.ts";
import { decodeCheckpoint, encodeCheckpoint, type StepCheckpoint } from "../step_checkpoint.ts";
import { lostError } from "./job_lease.ts";
import { JOB_KEPT_MS } from "./job_record.ts";

const NAME = "tutti_checkpoints";
/** Of a message that is not the value: subject and headers. */
const MESSAGE_OVERHEAD_BYTES = 4096;

/** First byte of a value: the rest is a checkpoint, or the name of an object that holds one. */
const INLINE = 0, OBJECT = 1;

export class NatsCheckpoints {
  readonly #nats: Nats;
  readonly #bucket: CasBucket;
  #objects: Promise<ObjectStore> | undefined;

  private constructor(nats: Nats, bucket: CasBucket) {
    this.#nats = nats;
    this.#bucket = bucket;
  }

  static async open(nats: Nats): Promise<NatsCheckpoints> {
    const description = "The newest step of each job of Tutti's queue";
    return new NatsCheckpoints(
      nats,
      await CasBucket.open(nats, NAME, { ttlMs: JOB_KEPT_MS, description }),
    );
  }

  of(job: string): NatsCheckpoint {
    const objects = () => this.#objects ??= this.#openObjects();
    return new NatsCheckpoint({ job, nats: this.#nats, bucket: this.#bucket, objects });
  }

  async #openObjects(): Promise<ObjectStore> {
    try {
      const jetStream = this.#nats.connection.jetstream({ timeout: JETSTREAM_TIMEOUT_MS });
      // In nanoseconds, other than the bucket's.
      return await jetStream.views.os(NAME, { ttl: JOB_KEPT_MS * 1e6 });
    } catch (error) {
      this.#objects = undefined;
      throw this.#nats.error(error, `opening the object store ${NAME}`);
    }
  }
}

interface Place {
  readonly job: string;
  readonly nats: Nats;
  readonly bucket: CasBucket;
  readonly objects: () => Promise<ObjectStore>;
}

/** That of one job, for one owner. */
export class NatsCheckpoint implements CheckpointStore {
  readonly #place: Place;
  /** What this owner has seen last. */
  #revision: number | undefined;
  #object: string | undefined;

  constructor(place: Place) {
    this.#place = place;
  }

  async load(): Promise<StepCheckpoint | undefined> {
    const value = await this.#read();
    return value && decodeCheckpoint(value, `${NAME}/${this.#place.job}`);
  }

  /** @throws {TuttiError} ABORTED if another owner has written since: `catchUp()` allows the next try */
  async save(checkpoint: StepCheckpoint): Promise<void> {
    const { job, nats, bucket } = this.#place;
    const bytes = encodeCheckpoint(checkpoint);
    const room = (nats.connection.info?.max_payload ?? 0) - MESSAGE_OVERHEAD_BYTES;
    const object = bytes.length <= room ? undefined : await this.#put(bytes);
    const value = object === undefined
      ? tagged(INLINE, bytes)
      : tagged(OBJECT, new TextEncoder().encode(object));
    const revision = this.#revision === undefined
      ? await bucket.create(job, value)
      : await bucket.update(job, value, this.#revision);
    if (revision === undefined) {
      await this.#drop(object);
      throw lostError(job);
    }
    this.#revision = revision;
    await this.#drop(this.#object);
    this.#object = object;
  }

  /** For an owner who knows that it still is one: takes what is there for seen. */
  async catchUp(): Promise<void> {
    await this.#read();
  }

  async remove(): Promise<void> {
    if (this.#revision === undefined) return;
    await this.#place.bucket.delete(this.#place.job, this.#revision);
    await this.#drop(this.#object);
  }

  /** The checkpoint's bytes. */
  async #read(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { job, bucket } = this.#place;
    const entry = await bucket.get(job);
    this.#revision = entry?.revision;
    this.#object = undefined;
    if (entry === undefined) return undefined;
    const content = entry.value.slice(1);
    switch (entry.value[0]) {
      case INLINE:
        return content;
      case OBJECT:
        this.#object = new TextDecoder().decode(content);
        return await this.#get(this.#object);
      default:
        throw new FormatError(
          `Checkpoint of job "${job}" must begin with ${INLINE} or ${OBJECT}: current byte is ${
            entry.value[0]
          }`,
        );
    }
  }

  async #put(bytes: Uint8Array): Promise<string> {
    const { job, nats, objects } = this.#place;
    const name = `${job}.${crypto.randomUUID()}`;
    try {
      await (await objects()).putBlob({ name }, bytes);
      return name;
    } catch (error) {
      throw nats.error(error, `writing to the object store ${NAME}`);
    }
  }

  async #get(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { nats, objects } = this.#place;
    let bytes: Uint8Array | null;
    try {
      bytes = await (await objects()).getBlob(name);
    } catch (error) {
      throw nats.error(error, `reading from the object store ${NAME}`);
    }
    if (bytes === null) {
      throw new FormatError(`Checkpoint "${name}" must be in the object store ${NAME}`);
    }
    return Uint8Array.from(bytes);
  }

  /** What stays vanishes by itself. */
  async #drop(name: string | undefined): Promise<void> {
    if (name === undefined) return;
    await (await this.#place.objects()).delete(name).catch(() => {});
  }
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const value = new Uint8Array(1 + bytes.length);
  value[0] = tag;
  value.set(bytes, 1);
  return value;
}
