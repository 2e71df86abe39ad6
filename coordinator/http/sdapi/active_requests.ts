/** Requests that wait for their pictures: the webui's `progress`, `interrupt` and `skip` are about those of whoever asks. @module */

import type { JobRuntime } from "../runtime/job_runtime.ts";
import type { LiveJob } from "../runtime/live_job.ts";

export interface ActiveRequest {
  readonly owner: string;
  /** Its jobs, one for each iteration. */
  readonly ids: readonly string[];
  /** Local time, when it came. */
  readonly startedAt: Date;
  isInterrupted: boolean;
}

export class ActiveRequests {
  readonly #runtime: JobRuntime;
  readonly #active = new Set<ActiveRequest>();

  constructor(runtime: JobRuntime) {
    this.#runtime = runtime;
  }

  add(owner: string, ids: readonly string[]): ActiveRequest & Disposable {
    const request = { owner, ids, startedAt: new Date(), isInterrupted: false };
    this.#active.add(request);
    return Object.assign(request, { [Symbol.dispose]: () => void this.#active.delete(request) });
  }

  /** That which is drawn, else the first that waits. */
  current(owner: string): ActiveRequest | undefined {
    const own = [...this.#active].filter((request) => request.owner === owner);
    return own.find((request) => this.running(request) !== undefined) ?? own[0];
  }

  /** The iteration that is drawn. */
  running({ ids }: ActiveRequest): LiveJob | undefined {
    return ids.map((id) => this.#runtime.live(id)).find((live) =>
      live !== undefined && live.job.state !== "queued"
    );
  }

  /** Ends all iterations. */
  async interrupt(owner: string): Promise<void> {
    const request = this.current(owner);
    if (!request) return;
    request.isInterrupted = true;
    await this.cancel(request.ids);
  }

  /** Ends the iteration that is drawn. */
  async skip(owner: string): Promise<void> {
    const request = this.current(owner);
    const live = request && this.running(request);
    if (live) await this.cancel([live.job.id]);
  }

  /** Those that have not ended. */
  async cancel(ids: readonly string[]): Promise<void> {
    // The last first: else the next one would begin when the one before ends.
    for (const id of ids.toReversed()) {
      const live = this.#runtime.live(id);
      if (live && !live.isEnding) await this.#runtime.cancel(live.job);
    }
  }
}
