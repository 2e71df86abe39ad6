/**
 * Looks for the block weights with which two models merge best, by somebody's scores. Weights stay in memory: after a
 * try only the tensors of the blocks that changed are merged anew.
 *
 * @module
 */

import { join } from "node:path";
import type { LocalExpert } from "../../shared/engine/local_expert.ts";
import { throwIfAborted } from "../../shared/errors.ts";
import { BASE } from "../../shared/merging/block_of_key.ts";
import type { FloatDType } from "../../shared/tensor/float64.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { drawCandidate, lookAlike, type PictureSettings } from "./draw_candidate.ts";
import { rowMerge } from "./row_merge.ts";
import type { Scorer } from "./scorer.ts";
import { coordinateSearch, type Row, type Scored, type SearchOptions } from "./search.ts";
import type { Try, TryLog } from "./try_log.ts";

/** The merge of two models that is tried with one row after the other. */
export class TriedMerge {
  readonly ensemble: Ensemble;
  readonly #expert: LocalExpert;
  readonly #models: readonly [string, string];
  readonly #blocks: readonly string[];
  readonly #dtype: FloatDType | undefined;
  #row: Row;

  readonly #name: string;

  /**
   * @param options.name who the two models are: a hash
   * @param options.row that its expert, an ensemble's only one, was opened with
   */
  constructor(
    ensemble: Ensemble,
    { name, models, blocks, row, dtype }: {
      readonly name: string;
      readonly models: readonly [string, string];
      readonly blocks: readonly string[];
      readonly row: Row;
      readonly dtype?: FloatDType;
    },
  ) {
    this.ensemble = ensemble;
    this.#expert = ensemble.experts[0] as LocalExpert;
    this.#name = name;
    this.#models = models;
    this.#blocks = blocks;
    this.#row = row;
    this.#dtype = dtype;
  }

  /** Who its text encoders are among those of all rows. */
  get textName(): string {
    return `${this.#name} ${this.#row[this.#blocks.indexOf(BASE)]}`;
  }

  async take(row: Row): Promise<void> {
    const changed = this.#blocks.filter((_, i) => row[i] !== this.#row[i]);
    if (changed.length === 0) return;
    const merge = {
      merge: rowMerge(this.#models, row),
      ...(this.#dtype && { dtype: this.#dtype }),
    };
    await this.#expert.remerge(merge, changed);
    this.#row = row;
  }
}

export interface AutoMergeOptions extends Pick<SearchOptions, "starts" | "groups"> {
  readonly merge: TriedMerge;
  readonly scorer: Scorer;
  readonly log: TryLog;
  readonly pictures: PictureSettings;
  /** Of the run: pictures are kept there. */
  readonly folder: string;
  /** Most tries in all, those in the log too. */
  readonly tries: number;
  readonly warn: (text: string) => void;
  /** Told of every try, those of the log too, in the order of the search. */
  readonly onTry: (made: Try, best: number) => void;
  readonly signal: AbortSignal;
}

export interface AutoMergeResult extends Scored {
  readonly tries: number;
  /** Whether it ended because nothing got better that anyone would see, and not for want of tries. */
  readonly isSettled: boolean;
}

/** @throws {TuttiError} what scoring, drawing or loading throws; tries that were made are in the log */
export async function autoMerge(options: AutoMergeOptions): Promise<AutoMergeResult> {
  const { starts, groups, log, folder, tries, onTry, signal } = options;
  const used = new Set<Try>();
  let [best, settled] = [-Infinity, false];
  const score = async (row: Row) => {
    throwIfAborted(signal);
    const known = log.find(row);
    const isNew = !known || !used.has(known);
    if (isNew && used.size >= tries) return undefined;
    const made = known ?? await makeTry(row, options);
    used.add(made);
    best = Math.max(best, made.score);
    if (isNew) onTry(made, best);
    return made.score;
  };
  const paths = (row: Row) => (log.find(row)?.pictures ?? []).map((file) => join(folder, file));
  const found = await coordinateSearch({
    ...{ starts, groups, score },
    isSettled: async (before, after) =>
      settled = before.join() === after.join() ||
        paths(after).length > 0 && await lookAlike(paths(after), paths(before)),
  });
  return { ...found, tries: used.size, isSettled: settled };
}

async function makeTry(
  row: Row,
  { merge, scorer, log, pictures, folder, warn, signal }: AutoMergeOptions,
): Promise<Try> {
  const start = performance.now();
  await merge.take(row);
  const name = String(log.size + 1).padStart(4, "0");
  const drawn = await drawCandidate(merge.ensemble, {
    ...{ ...pictures, folder: join(folder, "pictures"), name, warn, signal },
  });
  const files = drawn.map((file) => join("pictures", file));
  const { prompts } = pictures;
  const score = await scorer.score(
    { pictures: files.map((file) => join(folder, file)), prompts },
    signal,
  );
  const seconds = Number(((performance.now() - start) / 1000).toFixed(3));
  return await log.add(row, { score, seconds, pictures: files });
}
