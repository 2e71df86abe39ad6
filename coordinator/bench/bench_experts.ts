/**
 * The experts that benchmarks compare: each in a worker process of its own, as a cluster has them, or all in this
 * process. Every benchmark of a cluster opens it here, so what is to be said about how its tensors travel (plane, wire
 * dtype) belongs into `WorkerOptions`.
 *
 * @module
 */

import { join } from "node:path";
import { type LocalExpert, openLocalExpert } from "../../shared/engine/local_expert.ts";
import { connectExpert, type RemoteExpert } from "../cluster/remote_expert.ts";
import { spawnWorker } from "../cluster/spawn_worker.ts";
import { SabwAggregator } from "../sampling/methods/sabw/sabw_aggregator.ts";
import type { SabwExperts } from "../sampling/methods/sabw/sabw_folder.ts";
import { writeRandomSabw } from "../zoo/random_sabw.ts";
import type { BenchModels } from "./bench_model.ts";

export interface WorkerOptions {
  /** Of each worker. */
  readonly threads: number;
  readonly signal?: AbortSignal;
}

export interface WorkerExpert extends AsyncDisposable {
  readonly expert: RemoteExpert;
  readonly pid: number;
}

/** A worker for one of the models, and the connection to it. */
export async function openWorkerExpert(
  { configFrom }: BenchModels,
  model: string,
  { threads, signal }: WorkerOptions,
): Promise<WorkerExpert> {
  await using resources = new AsyncDisposableStack();
  const worker = resources.use(
    await spawnWorker({
      ...{ model, name: "bench", threads },
      ...(configFrom !== undefined && { configFrom }),
      ...(signal && { signal }),
    }),
  );
  const expert = await connectExpert(worker.address, signal ? { signal } : {});
  resources.defer(() => expert.close());
  const owned = resources.move();
  return { expert, pid: worker.pid, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** All models at once, in their order; of a failure none is left. */
export async function openWorkerExperts(
  models: BenchModels,
  options: WorkerOptions,
): Promise<{ readonly workers: readonly WorkerExpert[] } & AsyncDisposable> {
  const opening = models.paths.map((path) => openWorkerExpert(models, path, options));
  const opened = await Promise.allSettled(opening);
  const workers = opened.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  const close = async () => {
    await Promise.all(workers.map((worker) => worker[Symbol.asyncDispose]()));
  };
  const failed = opened.find((result) => result.status === "rejected");
  if (failed) {
    await close();
    throw failed.reason;
  }
  return { workers, [Symbol.asyncDispose]: close };
}

/** In this process, each with a lane of its own. */
export async function openLocalExperts(
  { paths, configFrom }: BenchModels,
  threads: number,
): Promise<{ readonly experts: readonly LocalExpert[] } & AsyncDisposable> {
  await using resources = new AsyncDisposableStack();
  const experts: LocalExpert[] = [];
  for (const model of paths) {
    const expert = await openLocalExpert({
      ...{ model, threads, device: "cpu", lanes: 1 },
      ...(configFrom !== undefined && { configFrom }),
    });
    resources.defer(() => expert.close());
    // Closing alone ends the thread and leaves what its sessions hold: gigabytes that the next set-up needs.
    resources.defer(() => expert.releaseGraphs());
    experts.push(expert);
  }
  const owned = resources.move();
  return { experts, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** SABW of the paper's size with random weights; its files are gone again when it is closed. */
export async function openRandomSabw(
  experts: SabwExperts,
  threads: number,
): Promise<{ readonly aggregator: SabwAggregator } & AsyncDisposable> {
  await using resources = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "tutti-bench-sabw-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const sabw = join(folder, "random");
  await writeRandomSabw(sabw, experts);
  const aggregator = await SabwAggregator.open(sabw, experts, { device: "cpu", threads });
  resources.defer(() => aggregator.close());
  const owned = resources.move();
  return { aggregator, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
