/** Where jobs that came over HTTP are kept, so that a server that ends loses none. @module */

import type { CheckpointStore } from "../../jobs/checkpoint_store.ts";
import type { ServedJob, ServedState } from "./served_job.ts";

export interface JobStore extends AsyncDisposable {
  /**
   * Keeps a new job durably: when it returns, the job survives the end of this process.
   *
   * @returns the job that the same owner gave with the same idempotency key, if there is one: then nothing is kept
   * @throws {TuttiError} UNAVAILABLE if it cannot be kept
   */
  add(job: ServedJob): Promise<ServedJob | undefined>;
  get(id: string): Promise<ServedJob | undefined>;
  /** Replaces what is known of a job. @throws {TuttiError} UNAVAILABLE if it cannot be kept */
  put(job: ServedJob): Promise<void>;
  /** Forgets it. */
  delete(id: string): Promise<void>;
  /** Newest first. */
  list(query: JobQuery): Promise<readonly ServedJob[]>;
  /** Jobs that have not ended, in the order in which they came; those that were being drawn are first. */
  unfinished(): Promise<readonly ServedJob[]>;
  /** Where the newest step of a job is kept. */
  checkpoint(id: string): CheckpointStore;
}

export interface JobQuery {
  readonly limit: number;
  /** @default those of all owners */
  readonly owner?: string;
  /** @default all */
  readonly dialect?: string;
  /** @default all */
  readonly states?: readonly ServedState[];
  /** Only jobs that came before this one. */
  readonly before?: string;
  /** Only jobs that ended before, ms since 1970. */
  readonly endedBefore?: number;
}
