/** Removes pictures and texts of jobs that ended long ago; for as long again it is known that they were there. @module */

import { JOB_KEPT_MS } from "../../jobs/queue/job_record.ts";
import { TuttiError } from "../../../shared/errors.ts";
import type { JobStore } from "../store/job_store.ts";
import type { PictureFolder } from "../store/picture_folder.ts";
import type { ServedJob } from "../store/served_job.ts";

const INTERVAL_MS = 3_600_000;
/** At a time. */
const BATCH = 100;

export class ExpiredJobs {
  readonly #store: JobStore;
  readonly #pictures: PictureFolder;
  readonly #warn: (text: string) => void;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(store: JobStore, pictures: PictureFolder, warn: (text: string) => void) {
    [this.#store, this.#pictures, this.#warn] = [store, pictures, warn];
  }

  /** Looks now and every hour, until `end()`; keeps no process alive. */
  begin(): void {
    const look = () =>
      void this.remove(Date.now()).catch((error) => this.#warn(TuttiError.from(error).message));
    look();
    this.#timer = setInterval(look, INTERVAL_MS);
    Deno.unrefTimer(this.#timer);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  /** @param now ms since 1970 */
  async remove(now: number): Promise<void> {
    const endedBefore = now - JOB_KEPT_MS;
    for (;;) {
      const states = ["succeeded", "failed", "canceled"] as const;
      const jobs = await this.#store.list({ limit: BATCH, states, endedBefore });
      for (const job of jobs) await this.expire(job, now);
      if (jobs.length < BATCH) break;
    }
    for (;;) {
      const jobs = await this.#store.list({ limit: BATCH, states: ["expired"], endedBefore });
      for (const { id } of jobs) await this.#store.delete(id);
      if (jobs.length < BATCH) break;
    }
  }

  /** What is left says that the job was there. @returns it */
  async expire({ outputs, asked: _, ...job }: ServedJob, now: number): Promise<ServedJob> {
    await this.#pictures.remove(outputs.map(({ name }) => name));
    const spec = { ...job.spec, prompt: "", negative: "" };
    const expired: ServedJob = { ...job, spec, state: "expired", outputs: [], endedAt: now };
    await this.#store.put(expired);
    return expired;
  }
}
