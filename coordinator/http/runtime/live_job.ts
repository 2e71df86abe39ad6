/** A job that has not ended: what is known of it, how far it is, and whoever watches it. @module */

import { TuttiError } from "../../../shared/errors.ts";
import type { F32Tensor } from "../../../shared/tensor/tensor.ts";
import { isEnded, type ServedJob } from "../store/served_job.ts";
import { JobEvents } from "./job_events.ts";

export interface JobProgress {
  readonly stepsDone: number;
  readonly steps: number;
  /** What is being done, for people. */
  readonly message: string;
  /** Of what is left; undefined before two steps have been timed. */
  readonly secondsLeft?: number;
}

export interface JobChange {
  readonly kind: "status" | "progress";
  readonly job: ServedJob;
  readonly progress: JobProgress;
}

export class LiveJob {
  readonly events = new JobEvents<JobChange>();
  readonly #cancelling = new AbortController();
  readonly #ended = Promise.withResolvers<ServedJob>();
  readonly #now: () => number;
  /** Whether its last state is being kept: nothing changes it any more. */
  isEnding = false;
  #writing: Promise<unknown> = Promise.resolve();
  readonly #warnings = new Set<string>();
  #job: ServedJob;
  #stepsDone = 0;
  #denoised: F32Tensor | undefined;
  /** When it was at its first step of this run, and which one that was. */
  #begin: { readonly at: number; readonly step: number } | undefined;

  /** @param now ms, monotonic */
  constructor(job: ServedJob, now: () => number = () => performance.now()) {
    this.#job = job;
    this.#now = now;
    // It may end without anybody waiting for it.
    this.#ended.promise.catch(() => {});
    this.#tell("status");
  }

  get job(): ServedJob {
    return this.#job;
  }

  /** Resolves when it has ended. @throws {TuttiError} UNAVAILABLE if the server ends before */
  get ended(): Promise<ServedJob> {
    return this.#ended.promise;
  }

  /** Fires when somebody wants it to end. */
  get cancelled(): AbortSignal {
    return this.#cancelling.signal;
  }

  /** Keeps what the client should know of its picture. */
  readonly warn = (text: string): void => void this.#warnings.add(text);

  get warnings(): readonly string[] {
    return [...this.#warnings];
  }

  /** The server ends: what comes of the job is known when it is back. */
  leave(): void {
    this.events.end();
    this.#ended.reject(
      new TuttiError(
        "UNAVAILABLE",
        `The server is stopping: job "${this.#job.id}" goes on when it is back`,
      ),
    );
  }

  cancel(): void {
    this.#cancelling.abort();
  }

  get progress(): JobProgress {
    const { state, spec: { steps } } = this.#job;
    const stepsDone = state === "succeeded" ? steps : this.#stepsDone;
    const left = this.#secondsLeft(steps - stepsDone);
    return {
      ...{ stepsDone, steps, message: messageOf(this.#job, stepsDone) },
      ...(left !== undefined && { secondsLeft: left }),
    };
  }

  setJob(job: ServedJob): void {
    const isNews = job.state !== this.#job.state;
    this.#job = job;
    if (isNews) this.#tell("status");
    if (!isEnded(job)) return;
    this.events.end();
    this.#ended.resolve(job);
  }

  /** Changes are kept one after the other, in the order in which they were made. */
  inTurn<T>(change: () => Promise<T>): Promise<T> {
    const changed = this.#writing.then(change);
    this.#writing = changed;
    return changed;
  }

  /** Whether this run has told of a step. */
  get isBegun(): boolean {
    return this.#begin !== undefined;
  }

  /** The newest estimate of its clean latents, f32 `[B, 4, h, w]`; undefined before the first step of this run. */
  get denoised(): F32Tensor | undefined {
    return this.#denoised;
  }

  setSteps(stepsDone: number, denoised?: F32Tensor): void {
    this.#denoised = denoised;
    this.#stepsDone = stepsDone;
    this.#begin ??= { at: this.#now(), step: stepsDone };
    this.#tell("progress");
  }

  #secondsLeft(stepsLeft: number): number | undefined {
    const begin = this.#begin;
    if (!begin || this.#stepsDone <= begin.step) return undefined;
    return (this.#now() - begin.at) / (this.#stepsDone - begin.step) * stepsLeft / 1000;
  }

  #tell(kind: JobChange["kind"]): void {
    this.events.add({ kind, job: this.#job, progress: this.progress });
  }
}

function messageOf({ state, spec: { steps } }: ServedJob, stepsDone: number): string {
  if (state !== "running") return state;
  return stepsDone < steps ? `step ${stepsDone} of ${steps}` : "decoding";
}
