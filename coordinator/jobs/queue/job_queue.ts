/**
 * The queue itself: the work-queue stream `tutti_jobs`, one subject and one consumer per ensemble. A job is in it until a
 * coordinator has stored its images; one that is taken and not heard of for a while is given to another coordinator.
 *
 * @module
 */

import {
  AckPolicy,
  type Consumer,
  DiscardPolicy,
  type JetStreamClient,
  type JetStreamManager,
  type JsMsg,
  RetentionPolicy,
} from "nats";
import { FormatError, TuttiError } from "../../../shared/errors.ts";
import { apiErrorCode } from "../../../shared/nats/cas_bucket.ts";
import { JETSTREAM_TIMEOUT_MS, type Nats } from "../../../shared/nats/connect.ts";
import { isNotFound } from "../../../shared/nats/nats_errors.ts";
import { type JobSpec, jobSpecFromJson, jobSpecToJson } from "../job_spec.ts";
import { isJobId, JOB_ID_RULE } from "./job_record.ts";

const STREAM = "tutti_jobs";
const SUBJECT = "tutti.jobs";
/** Jobs that may wait or run at a time. */
export const DEFAULT_QUEUE_LIMIT = 1000;
/** A job whose coordinator is not heard of for so long is given to another one, ms. */
export const ACK_WAIT_MS = 6_000;
/** For a repeated submission of the same job, ms; what comes later meets the job's record. */
const DUPLICATE_WINDOW_MS = 120_000;
/** What a client should wait when the queue is full, ms: a job takes seconds at least. */
const RETRY_AFTER_MS = 5_000;
/** How long one question for a job waits, ms: the shortest that NATS takes, for a coordinator that drains. */
const NEXT_MS = 1_000;
const MAX_MESSAGE_BYTES = 262_144;
const NANOS = 1e6;

/** JetStream's error codes (https://github.com/nats-io/nats-server, server/errors.json). */
const STREAM_EXISTS = 10058, STORE_FAILED = 10077;

/** What an ensemble's coordinators have before them. */
export interface Backlog {
  /** Jobs that nobody has taken yet. */
  readonly waiting: number;
  /** Jobs that are drawn, or were taken and not heard of since. */
  readonly taken: number;
  /** Age of the one that has waited longest, by the server's clock where it tells it; 0 if none waits. */
  readonly oldestWaitingSeconds: number;
}

/** A job as the queue holds it. */
export interface QueuedJob {
  readonly id: string;
  readonly spec: JobSpec;
}

export class JobQueue {
  readonly #nats: Nats;
  readonly #manager: JetStreamManager;
  readonly #stream: JetStreamClient;

  private constructor(nats: Nats, manager: JetStreamManager) {
    this.#nats = nats;
    this.#manager = manager;
    this.#stream = nats.connection.jetstream({ timeout: JETSTREAM_TIMEOUT_MS });
  }

  /**
   * Makes the stream if it is not there.
   *
   * @param limit jobs that may wait or run at a time @default that of the stream that is there
   */
  static async open(nats: Nats, limit?: number): Promise<JobQueue> {
    const manager = await nats.jetStream();
    const config = {
      name: STREAM,
      description: "Jobs of Tutti until their images are stored",
      subjects: [`${SUBJECT}.*`],
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New,
      max_msgs: limit ?? DEFAULT_QUEUE_LIMIT,
      max_msg_size: MAX_MESSAGE_BYTES,
      duplicate_window: DUPLICATE_WINDOW_MS * NANOS,
    };
    try {
      const found = await manager.streams.info(STREAM).catch((error) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
      if (!found) await manager.streams.add(config).catch(unlessExists);
      else if (limit !== undefined && found.config.max_msgs !== limit) {
        await manager.streams.update(STREAM, { ...found.config, max_msgs: limit });
      }
    } catch (error) {
      throw nats.error(error, `opening the stream ${STREAM}`);
    }
    return new JobQueue(nats, manager);
  }

  /**
   * Puts a job into the queue. Repeating it does no harm.
   *
   * @param options.isAgain also where the stream has had it within the last minutes, and has it no more
   * @throws {TuttiError} RESOURCE_EXHAUSTED with `retry_after_ms` if the queue is full
   */
  async add({ id, spec }: QueuedJob, { isAgain = false } = {}): Promise<void> {
    const message = JSON.stringify({ id, spec: jobSpecToJson(spec) });
    try {
      await this.#stream.publish(subjectOf(spec.ensemble), message, {
        ...(!isAgain && { msgID: id }),
        timeout: JETSTREAM_TIMEOUT_MS,
      });
    } catch (error) {
      if (apiErrorCode(error) !== STORE_FAILED) throw this.#nats.error(error, "queueing a job");
      throw new TuttiError(
        "RESOURCE_EXHAUSTED",
        `The queue takes no more jobs (${(error as Error).message}): try again in ${
          RETRY_AFTER_MS / 1000
        } s, or raise \`tutti coordinator --queue-limit\``,
        {
          cause: error,
          details: {
            limit: "queue",
            asked: "1",
            left: "0",
            retry_after_ms: String(RETRY_AFTER_MS),
          },
        },
      );
    }
  }

  /** Whether a coordinator for this ensemble has ever been there. */
  async hasConsumer(ensemble: string): Promise<boolean> {
    return await this.#manager.consumers.info(STREAM, durableOf(ensemble))
      .then(() => true, () => false);
  }

  /**
   * Of this ensemble, however many coordinators ask.
   *
   * @throws {TuttiError} if the server does not say, or no coordinator has ever been there
   */
  async backlog(ensemble: string): Promise<Backlog> {
    try {
      const info = await this.#manager.consumers.info(STREAM, durableOf(ensemble));
      const { num_pending: waiting, num_ack_pending: taken, delivered, ts } = info;
      const next = { seq: delivered.stream_seq + 1, next_by_subj: subjectOf(ensemble) };
      // It may have been taken since.
      const oldest = waiting === 0
        ? undefined
        : await this.#manager.streams.getMessage(STREAM, next).catch((error) => {
          if (isNotFound(error)) return undefined;
          throw error;
        });
      // Servers before 2.10 tell no time.
      const now = ts === undefined ? Date.now() : Date.parse(ts);
      const age = oldest ? (now - oldest.time.getTime()) / 1000 : 0;
      return { waiting, taken, oldestWaitingSeconds: Math.max(0, age) };
    } catch (error) {
      throw this.#nats.error(error, `asking for the backlog of ${ensemble}`);
    }
  }

  /** The consumer that all coordinators of an ensemble share. */
  async consumer(ensemble: string): Promise<JobConsumer> {
    try {
      await this.#manager.consumers.add(STREAM, {
        durable_name: durableOf(ensemble),
        description: `Coordinators of the ensemble ${ensemble}`,
        filter_subject: subjectOf(ensemble),
        ack_policy: AckPolicy.Explicit,
        ack_wait: ACK_WAIT_MS * NANOS,
        // Without a bound: what has no end is told apart by whether steps get done (`serve_job.ts`).
        max_deliver: -1,
      });
      const consumer = await this.#stream.consumers.get(STREAM, durableOf(ensemble));
      return new JobConsumer(this.#nats, consumer);
    } catch (error) {
      throw this.#nats.error(error, `opening the consumer of ${ensemble}`);
    }
  }
}

export class JobConsumer {
  readonly #nats: Nats;
  readonly #consumer: Consumer;

  constructor(nats: Nats, consumer: Consumer) {
    this.#nats = nats;
    this.#consumer = consumer;
  }

  /** The next job, after a second at most; undefined if there is none. */
  async next(): Promise<JsMsg | undefined> {
    try {
      return await this.#consumer.next({ expires: NEXT_MS }) ?? undefined;
    } catch (error) {
      throw this.#nats.error(error, "asking for a job");
    }
  }
}

/** @throws {FormatError} if the message is no job */
export function readQueuedJob(message: Pick<JsMsg, "data" | "seq">): QueuedJob {
  const where = `Message ${message.seq} of ${STREAM}`;
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(new TextDecoder().decode(message.data)) ?? {};
  } catch (cause) {
    throw new FormatError(`${where} must be JSON: ${(cause as Error).message}`, { cause });
  }
  if (!isJobId(json.id)) throw new FormatError(`${where}: "id" must be ${JOB_ID_RULE}`);
  return { id: json.id, spec: jobSpecFromJson(json.spec, `Job "${json.id}"`) };
}

/** A dot would part the subject, and no ensemble's name has a "=". */
function token(ensemble: string): string {
  return ensemble.replaceAll(".", "=");
}

function subjectOf(ensemble: string): string {
  return `${SUBJECT}.${token(ensemble)}`;
}

function durableOf(ensemble: string): string {
  return `tutti-${token(ensemble)}`;
}

/** Somebody was faster. */
function unlessExists(error: unknown): void {
  if (apiErrorCode(error) !== STREAM_EXISTS) throw error;
}
