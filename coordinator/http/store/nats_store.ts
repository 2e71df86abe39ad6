/**
 * Jobs in the bucket `tutti_served` of a NATS server, their newest steps in `tutti_checkpoints`. One server at a time has
 * them: it reads them when it starts, and answers from what it knows then.
 *
 * @module
 */

import { TuttiError } from "../../../shared/errors.ts";
import { CasBucket } from "../../../shared/nats/cas_bucket.ts";
import type { Nats } from "../../../shared/nats/connect.ts";
import { delay } from "../../cluster/delay.ts";
import type { CheckpointStore } from "../../jobs/checkpoint_store.ts";
import {
  type JobLease,
  JobLeases,
  LEASE_MS,
  LEASE_REFRESH_MS,
} from "../../jobs/queue/job_lease.ts";
import { JOB_KEPT_MS } from "../../jobs/queue/job_record.ts";
import { NatsCheckpoints } from "../../jobs/queue/nats_checkpoint.ts";
import type { JobQuery, JobStore } from "./job_store.ts";
import { decodeServedJob, encodeServedJob, type ServedJob } from "./served_job.ts";

const BUCKET = "tutti_served";
/** Of the lease: no job's id has a dot. */
const LEASE = "tutti.serve";
/** Jobs that are read at a time. */
const READS_AT_A_TIME = 32;
/** Between two looks at the lease of a server that was killed, ms. */
const LOOK_MS = 250;

interface Kept {
  readonly job: ServedJob;
  /** Jobs are counted as they come. */
  readonly seq: number;
  /** Undefined where the bucket does not have it yet, or no longer. */
  readonly revision: number | undefined;
}

interface StoreParts {
  readonly bucket: CasBucket;
  readonly checkpoints: NatsCheckpoints;
  readonly lease: JobLease;
}

export class NatsStore implements JobStore {
  readonly #nats: Nats;
  readonly #bucket: CasBucket;
  readonly #checkpoints: NatsCheckpoints;
  readonly #lease: JobLease;
  readonly #jobs = new Map<string, Kept>();
  readonly #steps = new Map<string, CheckpointStore>();
  /** Jobs whose newest state the bucket does not have. */
  readonly #unwritten = new Set<string>();
  readonly #resources = new DisposableStack();

  private constructor(nats: Nats, parts: StoreParts) {
    this.#nats = nats;
    this.#bucket = parts.bucket;
    this.#checkpoints = parts.checkpoints;
    this.#lease = parts.lease;
  }

  /** @throws {TuttiError} FAILED_PRECONDITION while another server keeps its jobs there, UNAVAILABLE if NATS is away */
  static async open(nats: Nats): Promise<NatsStore> {
    const description = "Jobs of tutti serve";
    // What has expired is remembered for as long again.
    const bucket = await CasBucket.open(nats, BUCKET, { ttlMs: 2 * JOB_KEPT_MS, description });
    const checkpoints = await NatsCheckpoints.open(nats);
    const lease = await takeLease(nats);
    const store = new NatsStore(nats, { bucket, checkpoints, lease });
    try {
      await store.#read();
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
    const timer = setInterval(() => void store.#lease.confirm().catch(() => {}), LEASE_REFRESH_MS);
    store.#resources.defer(() => clearInterval(timer));
    store.#resources.defer(nats.onChange((isConnected) => isConnected && void store.#catchUp()));
    return store;
  }

  /** Fires when another server has the jobs by now: this one must end. */
  get lost(): AbortSignal {
    return this.#lease.lost;
  }

  async add(job: ServedJob): Promise<ServedJob | undefined> {
    const key = job.idempotency?.key;
    const same = key === undefined
      ? undefined
      : this.#all().find(({ job: { owner, idempotency } }) =>
        owner === job.owner && idempotency?.key === key
      );
    if (same) return same.job;
    const seq = 1 + Math.max(0, ...this.#all().map((kept) => kept.seq));
    this.#jobs.set(job.id, { job, seq, revision: undefined });
    try {
      await this.#write(job.id);
    } catch (error) {
      this.#jobs.delete(job.id);
      throw unavailable(error);
    }
    return undefined;
  }

  get(id: string): Promise<ServedJob | undefined> {
    return Promise.resolve(this.#jobs.get(id)?.job);
  }

  /** What cannot be written now is written when NATS is back. */
  async put(job: ServedJob): Promise<void> {
    const kept = this.#jobs.get(job.id);
    if (!kept) return;
    this.#jobs.set(job.id, { ...kept, job });
    this.#unwritten.add(job.id);
    await this.#write(job.id).catch((error) => {
      throw unavailable(error);
    });
  }

  async delete(id: string): Promise<void> {
    const revision = this.#jobs.get(id)?.revision;
    this.#jobs.delete(id);
    this.#unwritten.delete(id);
    if (revision !== undefined) await this.#bucket.delete(id, revision);
  }

  list(query: JobQuery): Promise<readonly ServedJob[]> {
    const { limit, owner, dialect, states, before, endedBefore = Infinity } = query;
    const end = before === undefined ? Infinity : this.#jobs.get(before)?.seq ?? 0;
    const found = this.#all().filter(({ seq, job }) =>
      seq < end && (owner ?? job.owner) === job.owner && (dialect ?? job.dialect) === job.dialect &&
      (states?.includes(job.state) ?? true) &&
      (endedBefore === Infinity || (job.endedAt ?? Infinity) < endedBefore)
    );
    const newest = found.toSorted((a, b) => b.seq - a.seq).slice(0, limit);
    return Promise.resolve(newest.map(({ job }) => job));
  }

  unfinished(): Promise<readonly ServedJob[]> {
    const isQueued = ({ state }: ServedJob) => Number(state === "queued");
    const found = this.#all().filter(({ job }) => UNFINISHED.includes(job.state));
    const sorted = found.toSorted((a, b) => isQueued(a.job) - isQueued(b.job) || a.seq - b.seq);
    return Promise.resolve(sorted.map(({ job }) => job));
  }

  /** The same each time: it remembers what it has written. */
  checkpoint(id: string): CheckpointStore {
    const steps = this.#steps.get(id) ?? this.#checkpoints.of(id);
    this.#steps.set(id, steps);
    const forget = () => void this.#steps.delete(id);
    return {
      load: () => steps.load(),
      save: (step) => steps.save(step),
      remove: () => steps.remove().finally(forget),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#resources.dispose();
    await this.#lease.release();
  }

  #all(): readonly Kept[] {
    return [...this.#jobs.values()];
  }

  async #read(): Promise<void> {
    const ids = await this.#bucket.keys();
    for (let start = 0; start < ids.length; start += READS_AT_A_TIME) {
      const some = ids.slice(start, start + READS_AT_A_TIME);
      const entries = await Promise.all(some.map((id) => this.#bucket.get(id)));
      for (const entry of entries) {
        if (!entry) continue;
        const { seq, job: text } = JSON.parse(new TextDecoder().decode(entry.value));
        const job = decodeServedJob(text, `A job of the bucket ${BUCKET}`);
        this.#jobs.set(job.id, { job, seq, revision: entry.revision });
      }
    }
  }

  /** Writes what is known of a job by now. */
  async #write(id: string): Promise<void> {
    this.lost.throwIfAborted();
    // Nobody waits for an answer that does not come.
    if (!this.#nats.isConnected) {
      throw new Error(`the NATS server at ${this.#nats.servers} is away`);
    }
    const kept = this.#jobs.get(id);
    if (!kept) return;
    const { job, seq, revision: seen } = kept;
    const text = JSON.stringify({ seq, job: encodeServedJob(job) });
    let revision = seen === undefined
      ? await this.#bucket.create(id, text)
      : await this.#bucket.update(id, text, seen);
    if (revision === undefined) {
      // An answer was lost, or the server has lost its store.
      const entry = await this.#bucket.get(id);
      revision = entry
        ? await this.#bucket.update(id, text, entry.revision)
        : await this.#bucket.create(id, text);
    }
    const now = this.#jobs.get(id);
    if (now) this.#jobs.set(id, { ...now, revision });
    if (now?.job === job) this.#unwritten.delete(id);
  }

  /** A server that has lost its store gets what has not ended anew, too. */
  async #catchUp(): Promise<void> {
    const open = (await this.unfinished()).map(({ id }) => id);
    for (const id of new Set([...this.#unwritten, ...open])) {
      await this.#write(id).catch(() => {/* The next time. */});
    }
  }
}

const UNFINISHED: readonly ServedJob["state"][] = ["queued", "running", "canceling"];

/** That of a server that was killed vanishes by itself. */
async function takeLease(nats: Nats): Promise<JobLease> {
  const leases = await JobLeases.open(nats);
  const end = performance.now() + 2 * LEASE_MS;
  for (;;) {
    const lease = await leases.take(LEASE, crypto.randomUUID());
    if (lease) return lease;
    if (performance.now() > end) break;
    await delay(LOOK_MS);
  }
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `Another server keeps its jobs at ${nats.servers}: stop it, or take --store sqlite`,
  );
}

function unavailable(error: unknown): TuttiError {
  const { message } = TuttiError.from(error);
  return new TuttiError("UNAVAILABLE", `Jobs cannot be kept: ${message}`, { cause: error });
}
