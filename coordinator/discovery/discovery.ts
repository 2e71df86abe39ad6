/**
 * Finds the replicas of a model among the workers that NATS tells of.
 *
 * @module
 */

import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import type { NatsOptions } from "../../shared/nats/nats_options.ts";
import type { ModelChoice } from "../cluster/model_choice.ts";
import type { ReplicaDirectory, ReplicaRecord } from "../cluster/replicas/replica_directory.ts";
import { chooseModel, formatChoice } from "./choose_model.ts";
import { WorkerWatch, type WorkerWatchOptions } from "./worker_watch.ts";
import type { WorkerView } from "./worker_view.ts";

export interface FindOptions {
  /** How long to wait for a worker that is not there, ms. @default FIND_WAIT_MS */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
  readonly onWait?: (text: string) => void;
}

/** A worker that was just started, or lost its server, is there by then. */
const FIND_WAIT_MS = 5_000;

export class Discovery implements AsyncDisposable {
  readonly #watch: WorkerWatch;

  private constructor(watch: WorkerWatch) {
    this.#watch = watch;
  }

  /** @throws {TuttiError} if the server cannot be reached, refuses the login or has no JetStream */
  static async open(options: NatsOptions, settings: WorkerWatchOptions = {}): Promise<Discovery> {
    return new Discovery(await WorkerWatch.open(options, settings));
  }

  /** All workers that live. */
  get view(): WorkerView {
    return this.#watch.view;
  }

  /**
   * The workers that serve a model, as they come and go. Waits a little if there is none.
   *
   * @throws {TuttiError} NOT_FOUND if there is none, FAILED_PRECONDITION if several models are meant
   */
  async find(choice: ModelChoice, options: FindOptions = {}): Promise<ReplicaDirectory> {
    const { waitMs = FIND_WAIT_MS, signal, onWait } = options;
    const end = performance.now() + waitMs;
    let hasTold = false;
    for (;;) {
      throwIfAborted(signal);
      try {
        return new DiscoveredReplicas(this.view, chooseModel(this.view.workers(), choice));
      } catch (error) {
        const leftMs = end - performance.now();
        // Waiting makes no choice clearer.
        if (TuttiError.from(error).code !== "NOT_FOUND" || leftMs <= 0) throw error;
        if (!hasTold) onWait?.(`Waiting for a worker that serves ${formatChoice(choice)}`);
        hasTold = true;
        await this.#change(leftMs, signal);
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#watch[Symbol.asyncDispose]();
  }

  async #change(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const end = this.view.onChange(resolve);
    const onAbort = () => resolve();
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) resolve();
    await promise;
    signal?.removeEventListener("abort", onAbort);
    clearTimeout(timer);
    end();
  }
}

/** The workers of one model. */
class DiscoveredReplicas implements ReplicaDirectory {
  readonly #view: WorkerView;
  readonly #modelHash: string;

  constructor(view: WorkerView, modelHash: string) {
    this.#view = view;
    this.#modelHash = modelHash;
  }

  replicas(): readonly ReplicaRecord[] {
    const serving = this.#view.workers().filter(({ modelHash }) => modelHash === this.#modelHash);
    const records = serving.map(({ address, draining, queueDepth }) =>
      [address, { address, isDraining: draining, queueDepth }] as const
    );
    // One that lost its id has two for the length of a lease.
    return [...new Map(records).values()];
  }

  onChange(listener: () => void): () => void {
    return this.#view.onChange(listener);
  }
}
