/**
 * Whose work comes next: start-time fair queueing (Goyal, Vin and Cheng 1996) between jobs. The next turn is of the job
 * that was served least so far. A job that comes, or comes back, starts where the others are: it gains nothing from the
 * time when it wanted nothing. Pure: the caller says how long each turn took.
 *
 * @module
 */

/** Something that waits for its turn, or has it. */
export interface Turn<Item> {
  readonly job: string;
  readonly item: Item;
}

interface Job {
  servedMs: number;
  waiting: number;
  running: number;
  /** Number of the turn at which this job last had something to do. */
  lastTurn: number;
}

/**
 * A job between two of its runs (its features travel) is still there; one that let so many turns pass is not waiting for
 * this queue.
 */
const REMEMBERED_TURNS = 32;

export class FairQueue<Item> {
  /** By arrival. */
  readonly #waiting: Turn<Item>[] = [];
  readonly #jobs = new Map<string, Job>();
  /** What the job of the last turn had been served by then: where new jobs start. */
  #floorMs = 0;
  #turns = 0;

  /** Adds something that waits. */
  push(job: string, item: Item): Turn<Item> {
    const turn = { job, item };
    this.#waiting.push(turn);
    const entry = this.#jobs.get(job) ??
      { servedMs: this.#floorMs, waiting: 0, running: 0, lastTurn: this.#turns };
    if (entry.waiting + entry.running === 0) {
      entry.servedMs = Math.max(entry.servedMs, this.#floorMs);
    }
    entry.waiting++;
    this.#jobs.set(job, entry);
    return turn;
  }

  /** The oldest item of the job that was served least; of equals, the one that runs least now. It still waits. */
  next(): Turn<Item> | undefined {
    let best: Turn<Item> | undefined;
    for (const turn of this.#waiting) {
      if (best === undefined || this.#comesBefore(this.#job(turn), this.#job(best))) best = turn;
    }
    return best;
  }

  /**
   * What may be done in one go with `first`. While there are other jobs, one item of each job at most: their turns
   * would else be of different lengths, and whoever has many items would get more than a share.
   *
   * @param isMate of the items that wait, in the order of arrival
   */
  mates(first: Turn<Item>, isMate: (item: Item) => boolean): Turn<Item>[] {
    const served = new Set([first.job]);
    const isAlone = this.#jobs.size === 1;
    return this.#waiting.filter((turn) => {
      if (turn === first || (!isAlone && served.has(turn.job)) || !isMate(turn.item)) return false;
      served.add(turn.job);
      return true;
    });
  }

  /** Its turn has come. `end()` must follow. */
  begin(turn: Turn<Item>): void {
    if (!this.#drop(turn)) return;
    const job = this.#job(turn);
    job.running++;
    this.#floorMs = Math.max(this.#floorMs, job.servedMs);
    this.#turns++;
    for (const [name, { waiting, running, lastTurn }] of this.#jobs) {
      const isIdle = waiting + running === 0;
      if (isIdle && this.#turns - lastTurn > REMEMBERED_TURNS) this.#jobs.delete(name);
    }
  }

  /** @param servedMs what the turn took of the time that is shared */
  end(turn: Turn<Item>, servedMs: number): void {
    const job = this.#job(turn);
    job.running--;
    job.servedMs += servedMs;
    job.lastTurn = this.#turns;
  }

  /** Takes back what still waits; false if it does not. */
  remove(turn: Turn<Item>): boolean {
    if (!this.#drop(turn)) return false;
    this.#job(turn).lastTurn = this.#turns;
    return true;
  }

  #drop(turn: Turn<Item>): boolean {
    const index = this.#waiting.indexOf(turn);
    if (index < 0) return false;
    this.#waiting.splice(index, 1);
    this.#job(turn).waiting--;
    return true;
  }

  #job({ job }: Turn<Item>): Job {
    return this.#jobs.get(job)!;
  }

  #comesBefore(a: Job, b: Job): boolean {
    return a.servedMs < b.servedMs || (a.servedMs === b.servedMs && a.running < b.running);
  }
}
