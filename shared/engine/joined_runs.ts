/**
 * Several runs of one block as one: rows side by side. That is done only where it changes no bits and is faster, and
 * whether it is so is found out by trial: it depends on block, shapes, device and how many rows meet. On a CPU it pays
 * where a run costs more than its arithmetic (two runs of a U-Net 32 channels wide take half the time); at the widths of
 * SD1.5 it gains nothing, down to maps of 8 x 8, and is left alone. It is meant for devices that small maps do not fill.
 *
 * @module
 */

import { alignedTensor } from "../lane/aligned_memory.ts";
import type { BlockId } from "../models/blocks.ts";
import { bitEqual } from "../tensor/compare.ts";
import { type F32Tensor, sliceRows, type Tensor } from "../tensor/tensor.ts";

/** One run of a block of one model, ready to compute. */
export interface BlockRun {
  readonly block: BlockId;
  /** As the block's graph names them; see `blockInputs()`. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  /** Where the result goes, f32 `[B, C, h, w]`, at an address that 64 divides. */
  readonly output: F32Tensor;
  /** Told how long the block's weights were waited for, in milliseconds, where they were not there yet. */
  readonly onLoaded?: (loadMs: number) => void;
}

/** Rows of the largest joined run: what it needs beyond its parts is bounded, and so is the time it holds a lane. */
export const MAX_JOINED_ROWS = 8;

/** How often both ways are run before it is decided: on a busy machine any one time may be far off, the best is not. */
const TRIALS = 3;

/** Less than a tenth faster is within what two runs of the same differ by. */
const WORTHWHILE = 0.9;

/** Clients choose the shapes; what is remembered about them is bounded. */
const MAX_RECORDS = 4096;

/** The only input that has no rows: of a block that up-samples. */
const ROWLESS = "target_size";

/** What is known about joining runs of certain rows. */
interface TrialRecord {
  trials: number;
  isRefused: boolean;
  apartMs: number;
  joinedMs: number;
}

/** Runs with equal keys differ in their rows alone. */
export function runKey({ block, inputs }: BlockRun): string {
  const shapes = Object.entries(inputs).map(([name, { shape, data }]) =>
    name === ROWLESS ? data.join("x") : shape.slice(1).join("x")
  );
  return [block, ...shapes].join(" ");
}

export class JoinedRuns {
  readonly #compute: (run: BlockRun) => Promise<number>;
  /** By key and rows of each run. */
  readonly #records = new Map<string, TrialRecord>();
  /** Blocks that have run: the first run of a graph says nothing about the next ones. */
  readonly #warm = new Set<BlockId>();

  /** @param compute runs a block; milliseconds */
  constructor(compute: (run: BlockRun) => Promise<number>) {
    this.#compute = compute;
  }

  /** Whether these runs, of equal keys, are to be computed together: known to pay, or worth a trial. */
  mayJoin(runs: readonly BlockRun[]): boolean {
    if (runs.length < 2 || totalRows(runs) > MAX_JOINED_ROWS) return false;
    const record = this.#records.get(recordKey(runs));
    if (!record) return this.#warm.has(runs[0]!.block) && this.#records.size < MAX_RECORDS;
    return isOpen(record) || paysOff(record);
  }

  /**
   * Computes runs of equal keys, one or as many as `mayJoin()` allowed.
   *
   * @returns milliseconds of all together
   */
  async compute(runs: readonly BlockRun[]): Promise<number> {
    if (runs.length === 1) return await this.#apart(runs);
    const key = recordKey(runs);
    const record = this.#records.get(key) ??
      { trials: 0, isRefused: false, apartMs: Infinity, joinedMs: Infinity };
    this.#records.set(key, record);
    if (!paysOff(record)) return await this.#try(record, runs);
    try {
      const { output, elapsedMs } = await this.#joined(runs);
      const start = performance.now();
      split(output, runs).forEach((part, i) => runs[i]!.output.data.set(part.data));
      return elapsedMs + performance.now() - start;
    } catch {
      // There may be no memory for it. Each for itself, a run says what is wrong or goes well.
      record.isRefused = true;
      return await this.#apart(runs);
    }
  }

  /** Both ways. The results are those of the runs apart. */
  async #try(record: TrialRecord, runs: readonly BlockRun[]): Promise<number> {
    const apartMs = await this.#apart(runs);
    try {
      const { output, elapsedMs } = await this.#joined(runs);
      const isEqual = split(output, runs).every((part, i) =>
        bitEqual(part.data, runs[i]!.output.data)
      );
      record.isRefused ||= !isEqual;
      record.apartMs = Math.min(record.apartMs, apartMs);
      record.joinedMs = Math.min(record.joinedMs, elapsedMs);
      record.trials++;
      return apartMs + elapsedMs;
    } catch {
      record.isRefused = true;
      return apartMs;
    }
  }

  async #apart(runs: readonly BlockRun[]): Promise<number> {
    let elapsedMs = 0;
    for (const run of runs) {
      elapsedMs += await this.#compute(run);
      this.#warm.add(run.block);
    }
    return elapsedMs;
  }

  /** The time counts the copies, too. */
  async #joined(runs: readonly BlockRun[]): Promise<{ output: F32Tensor; elapsedMs: number }> {
    const [{ block, inputs, output: { shape } }] = runs as [BlockRun];
    const start = performance.now();
    const joined = Object.keys(inputs).map((name) => [
      name,
      name === ROWLESS ? inputs[name] : joinRows(runs.map((run) => run.inputs[name] as F32Tensor)),
    ]);
    const output = alignedTensor("float32", [totalRows(runs), ...shape.slice(1)]);
    const copyMs = performance.now() - start;
    const computeMs = await this.#compute({ block, inputs: Object.fromEntries(joined), output });
    return { output, elapsedMs: copyMs + computeMs };
  }
}

function isOpen({ trials, isRefused }: TrialRecord): boolean {
  return !isRefused && trials < TRIALS;
}

function paysOff({ trials, isRefused, apartMs, joinedMs }: TrialRecord): boolean {
  return !isRefused && trials >= TRIALS && joinedMs < WORTHWHILE * apartMs;
}

const rowsOf = ({ output }: BlockRun): number => output.shape[0]!;

function totalRows(runs: readonly BlockRun[]): number {
  return runs.reduce((sum, run) => sum + rowsOf(run), 0);
}

function recordKey(runs: readonly BlockRun[]): string {
  return `${runKey(runs[0]!)} of ${runs.map(rowsOf).join("+")}`;
}

function joinRows(parts: readonly F32Tensor[]): F32Tensor {
  const rows = parts.reduce((sum, { shape }) => sum + shape[0]!, 0);
  const joined = alignedTensor("float32", [rows, ...parts[0]!.shape.slice(1)]);
  let offset = 0;
  for (const { data } of parts) {
    joined.data.set(data, offset);
    offset += data.length;
  }
  return joined;
}

/** The rows of each run, as views. */
function split(output: F32Tensor, runs: readonly BlockRun[]): F32Tensor[] {
  let end = 0;
  return runs.map((run) => sliceRows(output, end, end += rowsOf(run)));
}
