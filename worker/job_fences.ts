/**
 * Who owns a job, as far as this worker has heard: the highest fence of each. An owner that was taken for dead and comes
 * back has a lower one; it is refused, and what it left open is closed.
 *
 * @module
 */

import { TuttiError } from "../shared/errors.ts";

/** Longest time that a fence is remembered after its last session, ms: an owner that was frozen for longer has lost its connections. */
const MEMORY_MS = 3_600_000;
/** Most jobs that are remembered: a bound on memory, far above what a worker meets in that time. */
const MAX_JOBS = 10_000;

interface JobFence {
  fence: number;
  lastUsed: number;
  /** Of the sessions that are open: each is told when a later owner comes. */
  readonly holders: Set<(error: TuttiError) => void>;
}

export class JobFences {
  /** Those used last come last. */
  readonly #jobs = new Map<string, JobFence>();
  readonly #now: () => number;
  readonly #maxJobs: number;

  /** @param now milliseconds, monotonic; tests pass their own */
  constructor(now: () => number = () => performance.now(), maxJobs = MAX_JOBS) {
    this.#now = now;
    this.#maxJobs = maxJobs;
  }

  get size(): number {
    return this.#jobs.size;
  }

  /**
   * An owner comes to open a session.
   *
   * @param onSuperseded called once with the refusal, when a later owner of the job comes
   * @returns what tells that the session has ended
   * @throws {TuttiError} FAILED_PRECONDITION if a later owner has come before
   */
  enter(job: string, fence: number, onSuperseded: (error: TuttiError) => void): () => void {
    const known = this.#jobs.get(job) ?? { fence, lastUsed: 0, holders: new Set() };
    if (fence < known.fence) throw superseded(job, fence, known.fence);
    if (fence > known.fence) {
      const earlier = known.fence;
      known.fence = fence;
      for (const tell of known.holders) tell(superseded(job, earlier, fence));
      known.holders.clear();
    }
    known.holders.add(onSuperseded);
    this.#touch(job, known);
    this.#forget();
    return () => {
      known.holders.delete(onSuperseded);
      known.lastUsed = this.#now();
    };
  }

  #touch(job: string, known: JobFence): void {
    known.lastUsed = this.#now();
    this.#jobs.delete(job);
    this.#jobs.set(job, known);
  }

  /** The oldest first: those that nobody uses and that are too old, or too many. */
  #forget(): void {
    for (const [job, { lastUsed, holders }] of this.#jobs) {
      const isOld = this.#now() - lastUsed > MEMORY_MS;
      if (!isOld && this.#jobs.size <= this.#maxJobs) return;
      if (holders.size === 0) this.#jobs.delete(job);
    }
  }
}

function superseded(job: string, fence: number, newest: number): TuttiError {
  return new TuttiError(
    "FAILED_PRECONDITION",
    `Job "${job}" has another owner: fence must be ${newest} or more: current value is ${fence}`,
    { details: { field: "fence", job, fence: String(fence), newest: String(newest) } },
  );
}
