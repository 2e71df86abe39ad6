/**
 * The queue in front of a model's lanes. A run goes to a lane only when one is free, so until then it is open whose it
 * will be: jobs share the lanes' time fairly (`fair_queue.ts`), runs of the same block may be computed together
 * (`joined_runs.ts`), and what is cancelled leaves.
 *
 * @module
 */

import { throwIfAborted, TuttiError } from "../errors.ts";
import { FairQueue, type Turn } from "./fair_queue.ts";
import { type BlockRun, JoinedRuns, runKey } from "./joined_runs.ts";

export interface BlockSchedulerOptions {
  /** Runs at the same time. */
  readonly lanes: number;
  /** Runs a block on a lane that is free; milliseconds of computing. */
  readonly compute: (run: BlockRun) => Promise<number>;
  /** Milliseconds, monotonic; tests pass their own. */
  readonly now?: () => number;
}

/** What became of a run's time, in milliseconds. */
export interface RunTimes {
  /** Of a joined run, its share by rows. */
  readonly computeMs: number;
  /** Everything else. */
  readonly queueMs: number;
}

interface Waiting {
  readonly run: BlockRun;
  readonly key: string;
  resolve(computeMs: number): void;
  reject(error: unknown): void;
}

export class BlockScheduler {
  readonly #lanes: number;
  readonly #joined: JoinedRuns;
  readonly #queue = new FairQueue<Waiting>();
  readonly #now: () => number;
  #busyLanes = 0;

  constructor({ lanes, compute, now = () => performance.now() }: BlockSchedulerOptions) {
    this.#lanes = lanes;
    this.#now = now;
    this.#joined = new JoinedRuns(compute);
  }

  /**
   * Runs a block when its job's turn comes. Nothing of the run may change until the promise settles.
   *
   * @throws {TuttiError} CANCELLED if `signal` fires while it waits; a run that has begun is not stopped
   */
  async run(job: string, run: BlockRun, signal?: AbortSignal): Promise<RunTimes> {
    throwIfAborted(signal);
    const start = this.#now();
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const turn = this.#queue.push(job, { run, key: runKey(run), resolve, reject });
    const onAbort = () => {
      if (this.#queue.remove(turn)) {
        reject(new TuttiError("CANCELLED", "The operation was cancelled"));
      }
    };
    signal?.addEventListener("abort", onAbort);
    this.#fillLanes();
    try {
      const computeMs = await promise;
      return { computeMs, queueMs: this.#now() - start - computeMs };
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #fillLanes(): void {
    while (this.#busyLanes < this.#lanes) {
      const turns = this.#nextTurns();
      if (turns.length === 0) return;
      for (const turn of turns) this.#queue.begin(turn);
      this.#busyLanes++;
      void this.#compute(turns).then(() => {
        this.#busyLanes--;
        this.#fillLanes();
      });
    }
  }

  #nextTurns(): Turn<Waiting>[] {
    const first = this.#queue.next();
    if (!first) return [];
    const turns = [first];
    const runs = () => turns.map(({ item }) => item.run);
    for (const mate of this.#queue.mates(first, ({ key }) => key === first.item.key)) {
      turns.push(mate);
      if (!this.#joined.mayJoin(runs())) turns.pop();
    }
    return turns;
  }

  /** Never rejects: each run hears of its own end. */
  async #compute(turns: readonly Turn<Waiting>[]): Promise<void> {
    const rows = turns.map(({ item }) => item.run.output.shape[0]!);
    const allRows = rows.reduce((sum, count) => sum + count, 0);
    try {
      const elapsedMs = await this.#joined.compute(turns.map(({ item }) => item.run));
      turns.forEach((turn, i) => {
        const computeMs = elapsedMs * rows[i]! / allRows;
        this.#queue.end(turn, computeMs);
        turn.item.resolve(computeMs);
      });
    } catch (error) {
      for (const turn of turns) {
        this.#queue.end(turn, 0);
        turn.item.reject(error);
      }
    }
  }
}
