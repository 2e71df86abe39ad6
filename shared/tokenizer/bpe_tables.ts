/**
 * The two tables of byte-pair encoding, checked: the vocabulary (token to id) and the merges (pairs of
 * tokens, best first).
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";

/** Token to id. */
export type Vocabulary = ReadonlyMap<string, number>;
/** Pairs that merge into one token, in order of rank. */
export type Merges = readonly (readonly [string, string])[];

/** Every id is a row of the text encoder's embedding: 2^24 rows of CLIP's width would take 51 GB. */
const MAX_TOKENS = 2 ** 24;

/**
 * Checks a vocabulary as JSON has it.
 *
 * @param path named in errors
 * @throws {FormatError} if an id is no whole number in range, or two tokens share one
 */
export function parseVocabulary(
  json: Readonly<Record<string, unknown>>,
  path: string,
): Map<string, number> {
  const vocabulary = new Map<string, number>();
  const owners = new Map<number, string>();
  for (const [token, id] of Object.entries(json)) {
    const checked = parseTokenId(id, `Token ${show(token)} of ${show(path)}`);
    const owner = owners.get(checked);
    if (owner !== undefined) {
      throw new FormatError(
        `Token ${show(token)} of ${show(path)} must have an id of its own: ` +
          `current value ${checked} is that of ${show(owner)}`,
      );
    }
    owners.set(checked, token);
    vocabulary.set(token, checked);
  }
  if (vocabulary.size === 0) {
    throw new FormatError(`Vocabulary ${show(path)} must have tokens: it is empty`);
  }
  return vocabulary;
}

/** @throws {FormatError} beginning with `what`, if the id is no whole number in range */
export function parseTokenId(id: unknown, what: string): number {
  if (Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < MAX_TOKENS) {
    return id as number;
  }
  throw new FormatError(
    `${what} must have a whole number from 0 to ${MAX_TOKENS - 1} as id: ` +
      `current value is ${show(id)}`,
  );
}

/**
 * Checks merges given line by line (`merges.txt`) or as the list of a `tokenizer.json`.
 *
 * @param items `"a b"` or `["a", "b"]`; `undefined` items are skipped but counted
 * @throws {FormatError} naming the line or item, if it is no pair or names a token without an id
 */
export function parseMerges(
  items: readonly unknown[],
  vocabulary: Vocabulary,
  path: string,
): Merges {
  const merges: (readonly [string, string])[] = [];
  for (const [index, item] of items.entries()) {
    if (item === undefined) continue;
    const where = `Merge ${index + 1} of ${show(path)}`;
    const pair = typeof item === "string" ? item.split(" ") : item;
    if (!isPair(pair)) {
      throw new FormatError(`${where} must be two tokens: current value is ${show(item)}`);
    }
    const unknown = [...pair, pair.join("")].find((token) => !vocabulary.has(token));
    if (unknown !== undefined) {
      throw new FormatError(
        `${where} must name tokens of the vocabulary: ${show(pair.join(" "))} needs ` +
          `${show(unknown)}, which has no id`,
      );
    }
    merges.push(pair);
  }
  return merges;
}

/** The lines of `merges.txt`; the version line and blank lines become `undefined`, to keep the count. */
export function mergeLines(text: string): readonly (string | undefined)[] {
  return text.split(/\r?\n/).map((line, index) => {
    const isVersion = index === 0 && line.startsWith("#version");
    return isVersion || line === "" ? undefined : line;
  });
}

function isPair(value: unknown): value is readonly [string, string] {
  return Array.isArray(value) && value.length === 2 &&
    value.every((token) => typeof token === "string" && token !== "");
}
