/** A discovery that connects to NATS when it is asked for the first time: most runs need none. @module */

import type { NatsOptions } from "../../shared/nats/nats_options.ts";
import type { Discovery } from "./discovery.ts";
import type { WorkerWatchOptions } from "./worker_watch.ts";

export class LateDiscovery implements AsyncDisposable {
  readonly #options: NatsOptions;
  readonly #settings: WorkerWatchOptions;
  #opening: Promise<Discovery> | undefined;
  #isClosed = false;

  constructor(options: NatsOptions, settings: WorkerWatchOptions = {}) {
    this.#options = options;
    this.#settings = settings;
  }

  /** @throws {TuttiError} as `Discovery.open()`; the next call tries again */
  open(): Promise<Discovery> {
    if (this.#opening) return this.#opening;
    const opening = this.#connect();
    opening.catch(() => this.#opening = undefined);
    return this.#opening = opening;
  }

  /**
   * HOST:PORT of the workers that serve a model now.
   *
   * @throws {TuttiError} as `open()`
   */
  async addressesOf(modelHash: string): Promise<string[]> {
    const { view } = await this.open();
    return view.workers()
      .filter((worker) => worker.modelHash === modelHash && !worker.draining)
      .map(({ address }) => address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const discovery = await this.#opening?.catch(() => undefined);
    await discovery?.[Symbol.asyncDispose]();
  }

  async #connect(): Promise<Discovery> {
    // It loads a client.
    const { Discovery } = await import("./discovery.ts");
    const discovery = await Discovery.open(this.#options, this.#settings);
    if (this.#isClosed) await discovery[Symbol.asyncDispose]();
    return discovery;
  }
}
