/**
 * What a search has tried, a line of JSON each, so that it is seen while it runs and goes on after it was killed: a try
 * that is in the log is not made again.
 *
 * @module
 */

import { exists } from "../../shared/checkpoint/exists.ts";
import { FormatError, UsageError } from "../../shared/errors.ts";
import { readRegularText } from "../../shared/regular_file.ts";
import { show } from "../../shared/show.ts";
import type { Row } from "./search.ts";

/** Everything that scores follow from besides the weights; the first line of a log. */
export type SearchConditions = Readonly<Record<string, unknown>>;

export interface Try {
  /** By block, BASE among them. */
  readonly weights: Readonly<Record<string, number>>;
  /** Larger is better. */
  readonly score: number;
  readonly seconds: number;
  /** Paths in the folder of the run. */
  readonly pictures: readonly string[];
}

export class TryLog {
  readonly #path: string;
  readonly #blocks: readonly string[];
  readonly #tries = new Map<string, Try>();

  private constructor(path: string, blocks: readonly string[]) {
    this.#path = path;
    this.#blocks = blocks;
  }

  /**
   * @param blocks in the order of rows
   * @param isResumed whether a log that is there is gone on with
   * @throws {UsageError} if there is one and it is not, or the other way round
   * @throws {FormatError} if it is of a search under other conditions, or is damaged before its last line
   */
  static async open(
    path: string,
    { blocks, conditions, isResumed }: {
      readonly blocks: readonly string[];
      readonly conditions: SearchConditions;
      readonly isResumed: boolean;
    },
  ): Promise<TryLog> {
    const isThere = await exists(path);
    if (isThere !== isResumed) {
      throw new UsageError(
        isThere
          ? `${show(path)} has tries already: --resume goes on, another --run begins anew`
          : `--resume needs tries to go on with: ${show(path)} does not exist`,
      );
    }
    const log = new TryLog(path, blocks);
    const first = `${JSON.stringify(conditions)}\n`;
    if (isThere) await log.#read(conditions);
    else await Deno.writeTextFile(path, first);
    return log;
  }

  get size(): number {
    return this.#tries.size;
  }

  find(row: Row): Try | undefined {
    return this.#tries.get(keyOf(row));
  }

  async add(row: Row, { score, seconds, pictures }: Omit<Try, "weights">): Promise<Try> {
    const weights = Object.fromEntries(this.#blocks.map((block, i) => [block, row[i]!]));
    const made = { weights, score, seconds, pictures };
    const line = JSON.stringify({ try: this.size + 1, ...made });
    await Deno.writeTextFile(this.#path, `${line}\n`, { append: true });
    this.#tries.set(keyOf(row), made);
    return made;
  }

  async #read(conditions: SearchConditions): Promise<void> {
    const text = await readRegularText(this.#path);
    // A line that was being written when the search was killed has no end.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) await Deno.writeTextFile(this.#path, whole);
    const [first, ...lines] = whole.split("\n").slice(0, -1).map((line, i) => this.#parse(line, i));
    checkConditions(conditions, first ?? {});
    for (const line of lines) {
      const made = line as unknown as Try;
      this.#tries.set(keyOf(this.#blocks.map((block) => made.weights?.[block] ?? NaN)), made);
    }
  }

  #parse(line: string, index: number): Record<string, unknown> {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
    } catch {
      // Told below.
    }
    throw new FormatError(
      `${this.#path}:${index + 1}: A try must be a JSON object: current line is ${
        show(line.slice(0, 200))
      }`,
    );
  }
}

function checkConditions(wanted: SearchConditions, found: SearchConditions): void {
  for (const key of new Set([...Object.keys(found), ...Object.keys(wanted)])) {
    const [before, now] = [found[key], wanted[key]].map((value) => JSON.stringify(value));
    if (before === now) continue;
    throw new FormatError(
      `--resume needs the search's own settings: "${key}" must be ${before} as in its first line: ` +
        `current value is ${now}`,
      { details: { key } },
    );
  }
}

function keyOf(row: Row): string {
  return row.join();
}
