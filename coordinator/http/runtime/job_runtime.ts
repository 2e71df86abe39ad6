/**
 * What every dialect is a face of: takes jobs, keeps them, draws them one client after the other, tells how far they are.
 * A job that was accepted ends once, whatever happens to the process meanwhile.
 *
 * @module
 */

import { TuttiError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import { jobError } from "../../jobs/queue/job_record.ts";
import type { JobStore } from "../store/job_store.ts";
import type { PictureFolder } from "../store/picture_folder.ts";
import type { InitPicture } from "../../jobs/init_picture.ts";
import { isEnded, type ServedJob } from "../store/served_job.ts";
import { ClientTurns } from "./client_turns.ts";
import { type DrawContext, drawLiveJob } from "./draw_live_job.ts";
import { ExpiredJobs } from "./expired_jobs.ts";
import { LiveJob } from "./live_job.ts";
import { QueueLimit } from "./queue_limit.ts";
import type { ServedEnsembles } from "./served_ensembles.ts";

export interface RuntimeOptions extends Pick<DrawContext, "patience" | "warn"> {
  readonly ensembles: ServedEnsembles;
  readonly store: JobStore;
  readonly pictures: PictureFolder;
  /** Jobs that are drawn at a time. @default 1 */
  readonly jobs?: number;
  /** Jobs that may wait. @default as `QueueLimit` */
  readonly queueLimit?: number;
}

/** What a dialect makes of a request. */
export interface NewJob
  extends Pick<ServedJob, "spec" | "client" | "owner" | "dialect" | "asked" | "idempotency"> {
  /** What it starts from; kept with the job until that has ended. */
  readonly init?: InitPicture | undefined;
}

/**
 * Times in a row that a job may be begun without one more step: one that ends its process is not begun for ever. Far more than a
 * server is killed in a row by others, for which no job should pay.
 */
const MAX_ATTEMPTS = 100;

export class JobRuntime implements AsyncDisposable {
  readonly ensembles: ServedEnsembles;
  readonly pictures: PictureFolder;
  readonly #options: RuntimeOptions;
  readonly #store: JobStore;
  readonly #limit: QueueLimit;
  readonly #expired: ExpiredJobs;
  readonly #turns = new ClientTurns<LiveJob>();
  readonly #live = new Map<string, LiveJob>();
  readonly #running = new Map<LiveJob, Promise<void>>();
  readonly #draining = new AbortController();

  private constructor(options: RuntimeOptions) {
    const { ensembles, store, pictures, queueLimit, warn } = options;
    this.#options = options;
    [this.ensembles, this.#store, this.pictures] = [ensembles, store, pictures];
    this.#limit = new QueueLimit(queueLimit);
    this.#expired = new ExpiredJobs(store, pictures, warn);
  }

  /** Goes on with what the store has. */
  static async open(options: RuntimeOptions): Promise<JobRuntime> {
    const runtime = new JobRuntime(options);
    const missing = new Set<string>();
    for (const job of await options.store.unfinished()) {
      const live = new LiveJob({ ...job, state: job.state === "running" ? "queued" : job.state });
      runtime.#live.set(job.id, live);
      if (job.state === "canceling") await runtime.#end(live, { state: "canceled" });
      else if (options.ensembles.find(job.spec.ensemble)) runtime.#turns.push(job.client, live);
      else missing.add(job.spec.ensemble);
    }
    for (const name of missing) {
      options.warn(`jobs of the ensemble ${show(name)} wait until it is served again`);
    }
    runtime.#expired.begin();
    runtime.#begin();
    return runtime;
  }

  /** Fires when the server leaves: what runs stops after its step. */
  get draining(): AbortSignal {
    return this.#draining.signal;
  }

  /** Jobs that wait, and that are drawn. */
  get load(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.#turns.size, running: this.#running.size };
  }

  /**
   * Accepts a job. When it returns, the job is kept.
   *
   * @returns the job of before where the same owner gave the same idempotency key
   * @throws {TuttiError} RESOURCE_EXHAUSTED with `retry_after_ms` if too many wait, ALREADY_EXISTS if the key came with
   * another body, UNAVAILABLE if the server is leaving or cannot keep the job
   */
  async submit(
    { init, ...wanted }: NewJob,
  ): Promise<{ readonly job: ServedJob; readonly isRepeated: boolean }> {
    if (this.draining.aborted) {
      throw new TuttiError("UNAVAILABLE", "The server is stopping: come again when it is back");
    }
    using _place = this.#limit.admit(wanted.client, this.#turns);
    const id = crypto.randomUUID();
    // Before the job: one that is kept must find them.
    const inputs = init && await this.pictures.storeInputs(id, init);
    const job: ServedJob = {
      ...wanted,
      ...{ id, state: "queued", attempts: 0, outputs: [], warnings: [] },
      ...(inputs && { inputs }),
      createdAt: Date.now(),
    };
    let before: ServedJob | undefined;
    try {
      before = await this.#store.add(job);
    } catch (error) {
      if (inputs) await this.pictures.removeInputs(inputs);
      throw error;
    }
    if (before) {
      if (inputs) await this.pictures.removeInputs(inputs);
      return { job: repeated(before, wanted), isRepeated: true };
    }
    const live = new LiveJob(job);
    this.#live.set(job.id, live);
    this.#turns.push(job.client, live);
    this.#begin();
    return { job: live.job, isRepeated: false };
  }

  /** One that has not ended. */
  live(id: string): LiveJob | undefined {
    return this.#live.get(id);
  }

  /** Those that have not ended, in the order in which they came. */
  get unfinished(): readonly LiveJob[] {
    return [...this.#live.values()].filter(({ job }) => !isEnded(job));
  }

  async find(id: string): Promise<ServedJob | undefined> {
    return this.#live.get(id)?.job ?? await this.#store.get(id);
  }

  /** Newest first. */
  async list(query: Parameters<JobStore["list"]>[0]): Promise<readonly ServedJob[]> {
    return await this.#store.list(query);
  }

  /** How many jobs are drawn before it; undefined if it does not wait. */
  position({ id, client }: ServedJob): number | undefined {
    const live = this.#live.get(id);
    if (!live || live.job.state !== "queued") return undefined;
    return this.#running.has(live) ? 0 : this.#turns.position(client, live);
  }

  /**
   * Cancels what has not ended: at once if it waits, else the step that is being computed is given up.
   *
   * @throws {TuttiError} FAILED_PRECONDITION if it has ended
   */
  async cancel(job: ServedJob): Promise<ServedJob> {
    const live = this.#live.get(job.id);
    if (!live || live.isEnding) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `Job "${job.id}" has ended already: its state is ${job.state}`,
        { details: { job: job.id, state: job.state } },
      );
    }
    if (this.#running.has(live)) {
      if (live.job.state === "running") await this.#set(live, { state: "canceling" });
      live.cancel();
    } else {
      this.#turns.remove(job.client, live);
      await this.#end(live, { state: "canceled" });
    }
    return live.job;
  }

  /**
   * Removes an ended job's pictures.
   *
   * @throws {TuttiError} FAILED_PRECONDITION if it has not ended
   */
  async expire(job: ServedJob): Promise<ServedJob> {
    if (isEnded(job)) return await this.#expired.expire(job, Date.now());
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `Job "${job.id}" has not ended: its state is ${job.state}. Cancel it first`,
      { details: { job: job.id, state: job.state } },
    );
  }

  /** Takes no jobs any more, and lets those that are drawn finish their step. They go on when the store is opened again. */
  async drain(): Promise<void> {
    this.#draining.abort();
    await Promise.all(this.#running.values());
    for (const live of this.#live.values()) live.leave();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
    this.#expired.end();
  }

  /** Draws what there is room for. */
  #begin(): void {
    while (!this.draining.aborted && this.#running.size < (this.#options.jobs ?? 1)) {
      const live = this.#turns.next();
      if (!live) return;
      const drawing = this.#draw(live).finally(() => {
        this.#running.delete(live);
        this.#begin();
      });
      this.#running.set(live, drawing);
    }
  }

  /** Never rejects: what goes wrong is the job's end. */
  async #draw(live: LiveJob): Promise<void> {
    const { store, pictures, patience, warn } = { ...this.#options, store: this.#store };
    const { id, spec, startedAt = Date.now(), attempts } = live.job;
    const begin = performance.now();
    try {
      if (attempts >= MAX_ATTEMPTS) throw hopeless(id);
      await this.#set(live, { state: "running", startedAt, attempts: attempts + 1 });
      const outputs = await drawLiveJob(live, {
        ...{ served: this.ensembles.get(spec.ensemble), checkpoint: store.checkpoint(id) },
        ...{ pictures, patience, warn, draining: this.draining },
        onProgress: () => this.#progressed(live),
      });
      this.#limit.timed((performance.now() - begin) / 1000);
      await this.#end(live, { state: "succeeded", outputs });
    } catch (cause) {
      const error = TuttiError.from(cause);
      if (live.cancelled.aborted) await this.#end(live, { state: "canceled" });
      // As it is in the store, it goes on when the server is back.
      else if (this.draining.aborted && isLeft(error)) return;
      else await this.#end(live, { state: "failed", error: jobError(error) });
    }
  }

  /** It got further than before: it is not what ends its server. */
  #progressed(live: LiveJob): void {
    if (live.job.attempts > 1) void this.#set(live, { attempts: 1 });
  }

  async #end(live: LiveJob, change: Partial<ServedJob>): Promise<void> {
    live.isEnding = true;
    const end = { ...change, warnings: live.warnings, endedAt: Date.now() };
    // One whose end is not kept stays here: the store says that it is drawn, and after a restart that is true again.
    if (!await this.#set(live, end)) return;
    this.#live.delete(live.job.id);
    if (live.job.inputs) await this.pictures.removeInputs(live.job.inputs);
    await this.#store.checkpoint(live.job.id).remove().catch(() => {/* There was none. */});
  }

  /** What cannot be kept is true nevertheless. @returns whether it was kept */
  #set(live: LiveJob, change: Partial<ServedJob>): Promise<boolean> {
    return live.inTurn(async () => {
      const job = { ...live.job, ...change };
      const isKept = await this.#store.put(job).then(() => true, (error) => {
        this.#options.warn(TuttiError.from(error).message);
        return false;
      });
      live.setJob(job);
      return isKept;
    });
  }
}

/** Stopped after a step, or while it waited for room. */
function isLeft({ code, details }: TuttiError): boolean {
  return details.state === "draining" || code === "CANCELLED";
}

/** @throws {TuttiError} ALREADY_EXISTS if it was another request that came with the key */
function repeated(before: ServedJob, { idempotency }: NewJob): ServedJob {
  if (before.idempotency?.bodyHash === idempotency?.bodyHash) return before;
  throw new TuttiError(
    "ALREADY_EXISTS",
    `The Idempotency-Key ${show(idempotency?.key)} came with another request before`,
    { details: { job: before.id } },
  );
}

function hopeless(id: string): TuttiError {
  return new TuttiError(
    "INTERNAL",
    `Job "${id}" was begun ${MAX_ATTEMPTS} times without finishing one more step`,
  );
}
