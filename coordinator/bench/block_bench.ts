/**
 * What a block costs through a session, in this process and on a worker: the same input to both, one after the other,
 * block by block.
 *
 * @module
 */

import type { ExpertSession, ForwardResult } from "../../shared/engine/expert.ts";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { bitEqual } from "../../shared/tensor/compare.ts";
import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { openLocalExperts, openWorkerExperts } from "./bench_experts.ts";
import { type BenchModelName, type BenchModels, computeBytes } from "./bench_model.ts";
import { type BenchFigure, measured } from "./bench_result.ts";
import { type CallSize, randomInputs } from "./random_inputs.ts";
import type { Room } from "./room.ts";

export interface BlockOptions extends CallSize {
  /** Of the figures: `block.sd15-256`, which the block's id is added to. */
  readonly name: string;
  /** Of this process and of the worker, which never compute at the same time. */
  readonly threads: number;
  /** Times that every block is measured. */
  readonly rounds: number;
  readonly signal?: AbortSignal;
  /** Told before each round; the first one is a warm-up. */
  readonly onRound?: (done: number, total: number) => void;
}

/** One call, seen from its caller. */
interface Call extends Pick<ForwardResult, "computeMs" | "queueMs"> {
  readonly roundTripMs: number;
}

/** All calls of one block; index i of both is round i. */
interface BlockCalls {
  readonly block: string;
  readonly local: Call[];
  readonly remote: Call[];
  sentBytes: number;
  receivedBytes: number;
}

/** The model in this process and in the worker's. */
export function blockRoom(model: BenchModelName): Room {
  return { bench: "block", models: 2, weightBytes: computeBytes(model), processes: 2 };
}

/** @throws {TuttiError} DATA_LOSS if the worker's bits differ: then the times compare nothing */
export async function benchBlocks(
  models: BenchModels,
  options: BlockOptions,
): Promise<readonly BenchFigure[]> {
  const { threads, rounds, signal, onRound } = options;
  await using local = await openLocalExperts(models, threads);
  await using cluster = await openWorkerExperts(models, { threads, ...(signal && { signal }) });
  const experts = [local.experts[0]!, cluster.workers[0]!.expert] as const;
  const { session, latents } = randomInputs(experts[0].description, options);
  const here = await experts[0].openSession(session);
  const there = await experts[1].openSession(session, signal);
  try {
    const calls = experts[0].description.blocks.map(({ id }): BlockCalls => ({
      ...{ block: id, local: [], remote: [], sentBytes: 0, receivedBytes: 0 },
    }));
    for (let round = 0; round <= rounds; round++) {
      onRound?.(round, rounds + 1);
      let input = latents;
      for (const row of calls) {
        throwIfAborted(signal);
        input = await measureBlock(row, [here, there], input, round > 0);
      }
    }
    return figuresOf(calls, options);
  } finally {
    await Promise.allSettled([here.close(), there.close()]);
  }
}

/** @returns the block's output, which is the next one's input */
async function measureBlock(
  row: BlockCalls,
  [here, there]: readonly [ExpertSession, ExpertSession],
  hiddenStates: F32Tensor,
  counts: boolean,
): Promise<F32Tensor> {
  const range = { stepIndex: 0, first: row.block, last: row.block, hiddenStates };
  const call = async (session: ExpertSession, calls: Call[]) => {
    const start = performance.now();
    const result = await session.forward(range);
    const { computeMs, queueMs } = result;
    if (counts) calls.push({ roundTripMs: performance.now() - start, computeMs, queueMs });
    return result.hiddenStates;
  };
  const ofHere = await call(here, row.local);
  const ofThere = await call(there, row.remote);
  // Once is enough: it takes longer than most blocks.
  if (!counts && !bitEqual(ofHere.data, ofThere.data)) {
    throw new TuttiError(
      "DATA_LOSS",
      `Output of ${row.block} must have the same bits from a worker as from this process`,
      { details: { block: row.block } },
    );
  }
  row.sentBytes = hiddenStates.data.byteLength;
  row.receivedBytes = ofThere.data.byteLength;
  // A session's output is valid until its next call: the next block gets a copy.
  return f32(ofHere.shape, ofHere.data.slice());
}

function figuresOf(calls: readonly BlockCalls[], options: BlockOptions): BenchFigure[] {
  const { name, rounds, threads } = options;
  /** A round trip but neither computing nor waiting for a lane. */
  const wireMs = (call: Call) => call.roundTripMs - call.computeMs - call.queueMs;
  const conditions = { threads };
  const sums = (side: "local" | "remote", of: (call: Call) => number) =>
    Array.from(
      { length: rounds },
      (_, i) => calls.reduce((sum, row) => sum + of(row[side][i]!), 0),
    );
  const rows = calls.map(({ block, local, remote, sentBytes, receivedBytes }) => ({
    ...{ id: block, sentBytes, receivedBytes },
    of: (side: "local" | "remote", value: (call: Call) => number) =>
      (side === "local" ? local : remote).map(value),
  }));
  const total = (key: "sentBytes" | "receivedBytes") =>
    calls.reduce((sum, row) => sum + row[key], 0);
  const all = {
    ...{ id: "all", sentBytes: total("sentBytes"), receivedBytes: total("receivedBytes") },
    of: sums,
  };
  return [...rows, all].flatMap(({ id, of, sentBytes, receivedBytes }): BenchFigure[] => {
    const trip = (call: Call) => call.roundTripMs;
    const [remote, local] = [of("remote", trip), of("local", trip)];
    const prefix = `${name}.${id}`;
    return [
      {
        ...measured(prefix, remote.map((ms, i) => ms / local[i]!), "ratio"),
        pair: { a: measured("remote", remote, "ms"), b: measured("local", local, "ms") },
        conditions,
      },
      measured(`${prefix}.compute`, of("remote", ({ computeMs }) => computeMs), "ms"),
      measured(`${prefix}.queue`, of("remote", ({ queueMs }) => queueMs), "ms"),
      measured(`${prefix}.wire`, of("remote", wireMs), "ms"),
      { name: `${prefix}.sent`, value: sentBytes, unit: "bytes" },
      { name: `${prefix}.received`, value: receivedBytes, unit: "bytes" },
    ];
  });
}
