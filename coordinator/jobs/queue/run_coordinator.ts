/** A coordinator of the queue: takes jobs as it has hands for them, until it drains. @module */

import type { JsMsg } from "nats";
import { TuttiError } from "../../../shared/errors.ts";
import { type JobConsumer, JobQueue } from "./job_queue.ts";
import { requeueLost } from "./requeue_lost.ts";
import { serveJob, type ServeOptions } from "./serve_job.ts";

export interface CoordinatorOptions extends Omit<ServeOptions, "onEvent"> {
  /** Jobs at a time. */
  readonly jobs: number;
  /** As in `JobQueue.open()`. */
  readonly queueLimit?: number;
  readonly onEvent: (event: CoordinatorEvent) => void;
}

export type CoordinatorEvent =
  | Parameters<ServeOptions["onEvent"]>[0]
  /** It asks for jobs. */
  | { readonly event: "ready" }
  /** It cannot ask, or could not write what it draws, and tries again. */
  | { readonly event: "waiting"; readonly error: TuttiError };

/** Between two tries while NATS is away or nothing can be written, ms. */
const RETRY_MS = 1_000;

/** Between two looks for jobs that the queue has lost, while it gives none, ms. */
const LOST_LOOK_MS = 30_000;

/** Settles when it has drained. */
export async function runCoordinator(options: CoordinatorOptions): Promise<void> {
  const { jobs, draining, onEvent } = options;
  const drained = new Promise<void>((resolve) =>
    draining.addEventListener("abort", () => resolve())
  );
  const running = new Set<Promise<void>>();
  const queue = new Asker(options);
  while (!draining.aborted) {
    if (running.size >= jobs) {
      await Promise.race([drained, ...running]);
      continue;
    }
    const message = await queue.next();
    if (message === undefined) continue;
    const work = serveJob(message, options).catch((error) => {
      onEvent({
        event: "warning",
        job: `message ${message.seq}`,
        text: TuttiError.from(error).message,
      });
    }).then(() => void running.delete(work));
    running.add(work);
  }
  await Promise.all(running);
}

/** Asks for jobs, and for the queue anew when that fails: a server that came back may have forgotten it. */
class Asker {
  readonly #options: CoordinatorOptions;
  #queue: JobQueue | undefined;
  #consumer: JobConsumer | undefined;
  #isAsking = false;
  /** As `performance.now()`; the first one is at once. */
  #lastLook = -LOST_LOOK_MS;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
  }

  async next(): Promise<JsMsg | undefined> {
    const { onEvent, out } = this.#options;
    try {
      await out.check();
      this.#consumer ??= await this.#open();
      if (!this.#isAsking) onEvent({ event: "ready" });
      this.#isAsking = true;
      const message = await this.#consumer.next();
      if (message === undefined) await this.#lookForLost();
      return message;
    } catch (error) {
      if (this.#isAsking) onEvent({ event: "waiting", error: TuttiError.from(error) });
      this.#isAsking = false;
      this.#consumer = undefined;
      this.#lastLook = -LOST_LOOK_MS;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      return undefined;
    }
  }

  async #open(): Promise<JobConsumer> {
    const { nats, ensemble, queueLimit } = this.#options;
    this.#queue = await JobQueue.open(nats, queueLimit);
    return await this.#queue.consumer(ensemble.name);
  }

  async #lookForLost(): Promise<void> {
    const { records, leases, ensemble, onEvent } = this.#options;
    if (performance.now() < this.#lastLook + LOST_LOOK_MS) return;
    this.#lastLook = performance.now();
    const stores = { queue: this.#queue!, records, leases };
    for (const job of await requeueLost(stores, ensemble.name)) {
      onEvent({ event: "warning", job, text: "the queue had lost it: it is in again" });
    }
  }
}
