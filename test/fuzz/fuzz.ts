/**
 * Feeds damaged inputs to what reads inputs from outside. Each must be taken or refused with a typed error, in bounded time and
 * memory; and in between good inputs must work as ever.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";
import { Mutator } from "./mutate.ts";

/** Something that reads bytes from outside. */
export interface FuzzTarget extends AsyncDisposable {
  readonly name: string;
  /** Good inputs, from which the damaged ones are made. */
  readonly seeds: readonly Uint8Array[];
  readonly alphabet?: Uint8Array;
  /** Damage that the format's first check does not see: half of the inputs get it. @default damage to bytes only */
  readonly mutate?: (input: Uint8Array, mutator: Mutator) => Uint8Array<ArrayBuffer>;
  /**
   * Reads bytes that were made of `seeds[seed]`.
   *
   * @returns the code of the refusal, or "taken"
   * @throws anything: that is the failure which fuzzing looks for
   */
  feed(bytes: Uint8Array<ArrayBuffer>, seed: number): Outcome | Promise<Outcome>;
  /** The next good input. @throws if it does not work as it should */
  feedGood(): void | Promise<void>;
}

export type Outcome = string;

export interface FuzzFailure {
  readonly target: string;
  readonly mutation: number;
  readonly problem: string;
  /** The input, to be fed again. */
  readonly hex: string;
}

export interface FuzzReport {
  readonly target: string;
  readonly mutations: number;
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly failures: readonly FuzzFailure[];
  readonly goodInputs: number;
  readonly slowestMs: number;
  readonly seconds: number;
  /** Resident memory at the end, over that after the first tenth, MB. */
  readonly grownMegabytes: number;
}

export interface FuzzOptions {
  readonly mutations: number;
  readonly seed: number;
  readonly onProgress?: (done: number) => void;
}

const GOOD_EVERY = 200;
/** Nothing that reads a few kilobytes takes so long, ms. */
const HANG_MS = 10_000;
/** After so many failures the target is known to be broken. */
const MAX_FAILURES = 20;
const MAX_HEX = 4096;

/** Never throws for what a target does: that is in the report. */
export async function fuzz(
  target: FuzzTarget,
  { mutations, seed, onProgress }: FuzzOptions,
): Promise<FuzzReport> {
  const { alphabet, seeds } = target;
  const mutator = new Mutator({ seed, donors: seeds, ...(alphabet && { alphabet }) });
  const outcomes: Record<Outcome, number> = {};
  const failures: FuzzFailure[] = [];
  const start = performance.now();
  let [slowestMs, goodInputs, settledBytes, done] = [0, 0, 0, 0];
  for (; done < mutations && failures.length < MAX_FAILURES; done++) {
    const from = mutator.below(seeds.length);
    const input = seeds[from]!;
    const bytes = mutator.below(2) === 0
      ? mutator.mutate(input)
      : target.mutate?.(input, mutator) ?? mutator.mutate(input);
    const fail = (problem: string) => {
      const hex = bytes.subarray(0, MAX_HEX).toHex();
      failures.push({ target: target.name, mutation: done, problem, hex });
    };
    const began = performance.now();
    try {
      const outcome = await withinMs(HANG_MS, target.feed(bytes, from));
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    } catch (error) {
      fail(problemOf(error));
    }
    slowestMs = Math.max(slowestMs, performance.now() - began);
    if (done % GOOD_EVERY === GOOD_EVERY - 1 || done === mutations - 1) {
      try {
        await withinMs(HANG_MS, target.feedGood());
        goodInputs++;
      } catch (error) {
        fail(`a good input after it does not work: ${problemOf(error)}`);
      }
      onProgress?.(done + 1);
    }
    if (done === Math.floor(mutations / 10)) settledBytes = Deno.memoryUsage().rss;
  }
  return {
    ...{ target: target.name, mutations: done, outcomes, failures, goodInputs, slowestMs },
    seconds: (performance.now() - start) / 1000,
    grownMegabytes: (Deno.memoryUsage().rss - settledBytes) / 1e6,
  };
}

/** The code of a typed refusal; everything else is thrown on. */
export async function outcomeOf(read: () => unknown): Promise<Outcome> {
  try {
    await read();
    return "taken";
  } catch (error) {
    // An unforeseen error that was wrapped on its way is no refusal.
    if (error instanceof TuttiError && error.code !== "UNKNOWN") return error.code;
    throw error;
  }
}

async function withinMs<T>(ms: number, work: T | Promise<T>): Promise<T> {
  if (!(work instanceof Promise)) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`nothing happened for ${ms} ms`)), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
