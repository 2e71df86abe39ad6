/**
 * Ten times as many clients as a worker has sessions. What is measured: images a second beside those of as many clients
 * as there are sessions, how fast refusals come, and what the worker holds meanwhile.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Patience, retryAfter } from "../../coordinator/cluster/admission_retry.ts";
import { connectExpert, type RemoteExpert } from "../../coordinator/cluster/remote_expert.ts";
import { readWorkerStatus } from "../../coordinator/cluster/worker_status.ts";
import type { SessionConfig } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { WorkerStatus } from "../../shared/wire/convert_status.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";

/** Clients for each session that the worker takes. */
export const OVERLOAD = 10;

export interface OverloadReport {
  /** Images a second, with as many clients as sessions and with ten times as many. */
  readonly peak: number;
  readonly goodput: number;
  readonly refusals: number;
  /** From the request to the refusal, ms. */
  readonly refusalMs: { readonly p50: number; readonly p95: number; readonly most: number };
  /** Most that the worker held at a time. */
  readonly most: Pick<WorkerStatus, "sessions" | "waitingSessions" | "arenaBytesUsed">;
  /** By which the worker's resident memory grew. */
  readonly grownBytes: number;
}

/** One of many that draw images of three steps on the same worker, each on a connection of its own. */
class LoadClient {
  readonly #remote: RemoteExpert;
  readonly #config: SessionConfig;
  /** Milliseconds that each refusal took. */
  readonly refusalMs: number[] = [];

  private constructor(remote: RemoteExpert, config: SessionConfig) {
    this.#remote = remote;
    this.#config = config;
  }

  static async open(address: string): Promise<LoadClient> {
    const remote = await connectExpert(address);
    return new LoadClient(remote, await sessionConfig(remote));
  }

  /** As a run does: asks once, then stands in the worker's queue. */
  async draw(patience: Patience): Promise<void> {
    let waitMs = 0;
    const session = await patience.untilAdmitted(async () => {
      const asked = waitMs;
      waitMs = patience.left;
      return await this.#ask(asked, patience.signal);
    });
    const hiddenStates = latentsFor(this.#remote.description, this.#config);
    for (const stepIndex of this.#config.timesteps.keys()) {
      await session.forward({ stepIndex, first: "IN00", last: "OUT11", hiddenStates });
    }
    await session.close();
  }

  close(): Promise<void> {
    return this.#remote.close();
  }

  async #ask(waitMs: number, signal: AbortSignal | undefined) {
    const start = performance.now();
    try {
      return await this.#remote.openSession({ ...this.#config, waitMs }, signal);
    } catch (error) {
      if (signal?.aborted) throw error;
      assert.ok(error instanceof TuttiError && error.code === "RESOURCE_EXHAUSTED", String(error));
      assert.match(error.details.limit!, /^max_(sessions|waiting)$/);
      assert.ok(retryAfter(error)! > 0);
      if (waitMs === 0) this.refusalMs.push(performance.now() - start);
      throw error;
    }
  }
}

/** @param sessions that the worker takes at a time */
export async function overload(
  address: string,
  sessions: number,
  images: number,
): Promise<OverloadReport> {
  const clients = await Promise.all(
    Array.from({ length: OVERLOAD * sessions }, () => LoadClient.open(address)),
  );
  // Watching costs time, too: it must not be missing from one of the two.
  const first = new Watch(address);
  const peak = await imagesPerSecond(clients.slice(0, sessions), images);
  await first.end();
  for (const client of clients) client.refusalMs.length = 0;

  const before = await readWorkerStatus(address);
  const watch = new Watch(address);
  const goodput = await imagesPerSecond(clients, images);
  const most = await watch.end();
  const { residentBytes } = await readWorkerStatus(address);
  const refusalMs = clients.flatMap((client) => client.refusalMs).sort((a, b) => a - b);
  await Promise.all(clients.map((client) => client.close()));
  const at = (share: number) => refusalMs[Math.floor(share * (refusalMs.length - 1))] ?? 0;
  return {
    peak,
    goodput,
    refusals: refusalMs.length,
    refusalMs: { p50: at(0.5), p95: at(0.95), most: at(1) },
    most,
    grownBytes: residentBytes - before.residentBytes,
  };
}

/** All clients draw until so many images are there; those that are late by then do not count. */
async function imagesPerSecond(clients: readonly LoadClient[], images: number): Promise<number> {
  const end = new AbortController();
  const start = performance.now();
  let drawn = 0, seconds = 0;
  await Promise.all(clients.map(async (client) => {
    while (!end.signal.aborted) {
      try {
        await client.draw(new Patience({ waitMs: 600_000, signal: end.signal }));
      } catch (error) {
        if (!end.signal.aborted) throw error;
        return;
      }
      if (end.signal.aborted || ++drawn < images) continue;
      seconds = (performance.now() - start) / 1000;
      end.abort();
    }
  }));
  return images / seconds;
}

/** Asks a worker again and again how much it holds. */
class Watch {
  readonly #address: string;
  readonly #watching: Promise<void>;
  readonly #most = { sessions: 0, waitingSessions: 0, arenaBytesUsed: 0 };
  #isOver = false;

  constructor(address: string) {
    this.#address = address;
    this.#watching = this.#watch();
  }

  async end() {
    this.#isOver = true;
    await this.#watching;
    return this.#most;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const status = await readWorkerStatus(this.#address);
      for (const name of ["sessions", "waitingSessions", "arenaBytesUsed"] as const) {
        this.#most[name] = Math.max(this.#most[name], status[name]);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
