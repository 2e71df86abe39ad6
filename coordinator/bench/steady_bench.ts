/**
 * Whether a cluster stays as it is: session after session on the same workers, over each plane, with an eye on the memory
 * of every process and on what is open in it. Memory must not grow, and descriptors and regions of shared memory must be
 * as many as before once a session is closed.
 *
 * @module
 */

import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { delay } from "../cluster/delay.ts";
import { connectExpert, type RemoteExpert } from "../cluster/remote_expert.ts";
import { UniformAggregator } from "../sampling/aggregation.ts";
import { openWorkerExperts, type WorkerExpert } from "./bench_experts.ts";
import type { BenchModels } from "./bench_model.ts";
import type { BenchFigure } from "./bench_result.ts";
import { EnsembleSide } from "./ensemble_side.ts";
import { type ProcessResources, processResources, RESOURCES } from "./process_resources.ts";
import type { CallSize } from "./random_inputs.ts";
import { heldBytes, residentMemory } from "./resident_memory.ts";
import { medianSlope } from "./statistics.ts";

export interface SteadyOptions extends CallSize {
  readonly planes: readonly PlaneKind[];
  /** Sessions over each plane, one after the other: two at least after those that warm up. */
  readonly sessions: number;
  readonly stepsPerSession: number;
  readonly signal?: AbortSignal;
  /** Told after each session. */
  readonly onSession?: (plane: PlaneKind) => void;
}

export interface SteadyRow {
  readonly plane: PlaneKind;
  readonly worker: SteadyMemory;
  readonly coordinator: SteadyMemory;
  /** Of the process that has kept most: more than none is a leak. */
  readonly kept: ProcessResources;
}

/** Of the process that has grown most. */
export interface SteadyMemory {
  /** In the last session. */
  readonly bytes: number;
  readonly bytesPerThousandSteps: number;
}

/** What happens when a session ends is not over at once in both processes. */
const SETTLE_MS = 2000;
const SETTLE_POLL_MS = 20;

/** Of the sessions: caches fill, sockets grow, code is compiled. */
const WARM_SHARE = 0.25;

/** One row a plane; the first one runs twice, and counts the second time. */
export async function benchSteady(
  models: BenchModels,
  options: SteadyOptions,
): Promise<SteadyRow[]> {
  const { planes, signal } = options;
  await using opened = await openWorkerExperts(models, { threads: 1, ...(signal && { signal }) });
  const rows: SteadyRow[] = [];
  // Not measured: for about 1,000 steps the heaps of new processes grow, whatever the plane.
  await runSessions(opened.workers, planes[0]!, options);
  for (const plane of planes) rows.push(await runSessions(opened.workers, plane, options));
  return rows;
}

/** How many sessions come before those that count. */
export function warmSessions(sessions: number): number {
  return Math.max(1, Math.floor(WARM_SHARE * sessions));
}

/** `steady.shm.worker-memory` and `-growth` (per 1,000 steps), the same of the coordinator, and what was kept. */
export function steadyFigures(rows: readonly SteadyRow[]): BenchFigure[] {
  return rows.flatMap(({ plane, worker, coordinator, kept }) => {
    const bytes = (part: string, value: number): BenchFigure => ({
      ...{ name: `steady.${plane}.${part}`, value, unit: "bytes" },
    });
    return [
      bytes("worker-memory", worker.bytes),
      bytes("worker-growth", worker.bytesPerThousandSteps),
      bytes("coordinator-memory", coordinator.bytes),
      bytes("coordinator-growth", coordinator.bytesPerThousandSteps),
      ...RESOURCES.map((part): BenchFigure => ({
        ...{ name: `steady.${plane}.${part}`, value: kept[part], unit: "count" },
      })),
    ];
  });
}

/** What was not given back, for an error: `shm kept 1 regions`; none if all was. */
export function leaks(rows: readonly SteadyRow[]): string[] {
  return rows.flatMap(({ plane, kept }) =>
    RESOURCES.filter((part) => kept[part] > 0).map((part) => `${plane} kept ${kept[part]} ${part}`)
  );
}

async function runSessions(
  workers: readonly WorkerExpert[],
  plane: PlaneKind,
  options: SteadyOptions,
): Promise<SteadyRow> {
  const { sessions, stepsPerSession, signal, onSession } = options;
  await using connections = new AsyncDisposableStack();
  const experts: RemoteExpert[] = [];
  for (const { expert: { address } } of workers) {
    const transport = { plane };
    const expert = await connectExpert(address, { transport, ...(signal && { signal }) });
    connections.defer(() => expert.close());
    experts.push(expert);
  }
  const pids = [Deno.pid, ...workers.map(({ pid }) => pid)];
  const memory = pids.map(() => new Array<[step: number, bytes: number]>());
  const warm = warmSessions(sessions);
  let start: ProcessResources[] = [];
  for (let session = 0; session < sessions; session++) {
    {
      await using side = await EnsembleSide.open({
        ...{ ...options, name: plane, experts, aggregator: new UniformAggregator() },
      });
      for (let step = 0; step < stepsPerSession; step++) await side.run();
      if (session >= warm) await addMemory(memory, pids, (session + 1) * stepsPerSession);
    }
    if (session === warm - 1) start = await resourcesOf(pids);
    onSession?.(plane);
  }
  const kept = await keptSince(start, pids);
  const [coordinator, ...ofWorkers] = memory.map(steadyMemory);
  const worker = ofWorkers.reduce((a, b) =>
    b.bytesPerThousandSteps > a.bytesPerThousandSteps ? b : a
  );
  return { plane, worker, coordinator: coordinator!, kept };
}

async function addMemory(
  memory: readonly [step: number, bytes: number][][],
  pids: readonly number[],
  step: number,
): Promise<void> {
  for (const [i, pid] of pids.entries()) {
    memory[i]!.push([step, heldBytes(await residentMemory(pid))]);
  }
}

function steadyMemory(points: readonly [step: number, bytes: number][]): SteadyMemory {
  return { bytes: points.at(-1)![1], bytesPerThousandSteps: 1000 * medianSlope(points) };
}

function resourcesOf(pids: readonly number[]): Promise<ProcessResources[]> {
  return Promise.all(pids.map(processResources));
}

/** Waits for a while until there is nothing to tell. */
async function keptSince(
  start: readonly ProcessResources[],
  pids: readonly number[],
): Promise<ProcessResources> {
  const end = performance.now() + SETTLE_MS;
  for (;;) {
    const now = await resourcesOf(pids);
    const most = (part: typeof RESOURCES[number]) =>
      Math.max(...now.map((each, i) => each[part] - start[i]![part]));
    const kept = {
      descriptors: most("descriptors"),
      sockets: most("sockets"),
      regions: most("regions"),
    };
    const isClean = Object.values(kept).every((count) => count <= 0);
    if (isClean || performance.now() > end) return kept;
    await delay(SETTLE_POLL_MS);
  }
}
