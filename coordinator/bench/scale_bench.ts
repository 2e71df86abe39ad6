/**
 * How an ensemble grows: 1 to N experts, a worker each, on the cores of one machine. Time of a step, tensor bytes on the
 * wire, and the memory of every part.
 *
 * @module
 */

import { alternate, timesOf } from "./alternate.ts";
import { openRandomSabw, openWorkerExpert, type WorkerExpert } from "./bench_experts.ts";
import { type BenchModelName, type BenchModels, computeBytes } from "./bench_model.ts";
import { type BenchFigure, measured } from "./bench_result.ts";
import { EnsembleSide } from "./ensemble_side.ts";
import type { CallSize } from "./random_inputs.ts";
import { heldBytes, residentMemory } from "./resident_memory.ts";
import type { Room } from "./room.ts";
import { partFigures } from "./step_parts.ts";

export interface ScaleOptions extends CallSize {
  /** Of the figures: `scale.sd15-half-256`, which `.n1` and so on is added to. */
  readonly name: string;
  /** Cores that the workers share; none gets less than one thread. */
  readonly threads: number;
  /** Steps that are measured with each number of experts. */
  readonly steps: number;
  readonly signal?: AbortSignal;
  /** Told before each step: how many of all are done, and the number of experts. */
  readonly onRun?: (done: number, total: number, experts: number) => void;
}

/** Of the largest ensemble. */
export function scaleRoom(model: BenchModelName, experts: number): Room {
  const weightBytes = computeBytes(model);
  return { bench: "scale", models: experts, weightBytes, processes: experts + 1 };
}

/** @param models as many files as the largest ensemble has experts */
export async function benchScale(
  models: BenchModels,
  options: ScaleOptions,
): Promise<readonly BenchFigure[]> {
  const { steps, signal, onRun } = options;
  const most = models.paths.length;
  const figures: BenchFigure[] = [];
  await using resources = new AsyncDisposableStack();
  const workers: WorkerExpert[] = [];
  const emptyBytes = await held(Deno.pid);
  const runs = steps + 1;
  for (const [index, path] of models.paths.entries()) {
    // One thread each whatever their number: else a step with one expert would be another computation.
    const worker = await openWorkerExpert(models, path, { threads: 1, ...(signal && { signal }) });
    workers.push(resources.use(worker));
    const report = (done: number) => onRun?.(index * runs + done, most * runs, workers.length);
    figures.push(...await measureEnsemble(workers, options, emptyBytes, report));
  }
  return figures;
}

/** @param emptyBytes of the coordinator before its first ensemble: ONNX Runtime keeps some of what earlier ones used */
async function measureEnsemble(
  workers: readonly WorkerExpert[],
  options: ScaleOptions,
  emptyBytes: number,
  onRun: (done: number) => void,
): Promise<BenchFigure[]> {
  const { steps, threads, signal } = options;
  const numExperts = workers.length;
  const name = `${options.name}.n${numExperts}`;
  const { description } = workers[0]!.expert;
  const bytesBefore = await held(Deno.pid);
  await using sabw = await openRandomSabw({ ...description, numExperts }, threads);
  await using side = await EnsembleSide.open({
    ...options,
    name,
    experts: workers.map(({ expert }) => expert),
    aggregator: sabw.aggregator,
  });
  const times = await alternate([side], {
    rounds: steps,
    ...(signal && { signal }),
    onWarm: () => side.forget(),
    onRun,
  });
  const coordinatorBytes = emptyBytes + await held(Deno.pid) - bytesBefore;
  const workerBytes = await Promise.all(workers.map(({ pid }) => held(pid)));
  const conditions = { experts: numExperts, workerThreads: 1, coordinatorThreads: threads };
  return [
    { ...measured(name, timesOf(times, name).map((ms) => ms / 1000), "s"), conditions },
    ...partFigures(name, side.stats),
    measured(`${name}.worker-memory`, workerBytes, "bytes"),
    { name: `${name}.coordinator-memory`, value: coordinatorBytes, unit: "bytes" },
  ];
}

async function held(pid: number): Promise<number> {
  return heldBytes(await residentMemory(pid));
}
