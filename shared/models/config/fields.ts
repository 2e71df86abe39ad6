/**
 * Reads fields of a `config.json`: present and of the right kind, or absent with a default; otherwise
 * an error that names file, key, value and expectation.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import { FormatError } from "../../errors.ts";
import { parseJson } from "../../json_text.ts";
import { readRegularText } from "../../regular_file.ts";
import { foreignFormat, SNIFFED_BYTES } from "../../weight_file/foreign_formats.ts";

export class ConfigFields {
  readonly #json: Readonly<Record<string, unknown>>;
  readonly #path: string;

  /** @param path shown in errors */
  constructor(json: unknown, path: string) {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new FormatError(
        `Config "${path}" must be a JSON object: current value is ${JSON.stringify(json)}`,
      );
    }
    this.#json = json as Record<string, unknown>;
    this.#path = path;
  }

  static async read(path: string): Promise<ConfigFields> {
    let text: string;
    try {
      text = await readRegularText(path);
    } catch (cause) {
      throw new FormatError(`Cannot read config "${path}": ${(cause as Error).message}`, { cause });
    }
    try {
      return new ConfigFields(parseJson(text), path);
    } catch (cause) {
      if (cause instanceof FormatError) throw cause;
      const found = foreignFormat(new TextEncoder().encode(text.slice(0, SNIFFED_BYTES)));
      const why = found ? `this is ${found.what}. ${found.cure}` : (cause as Error).message;
      throw new FormatError(`Config "${path}" is not JSON: ${why}`, { cause });
    }
  }

  get path(): string {
    return this.#path;
  }

  has(key: string): boolean {
    return this.#json[key] !== undefined && this.#json[key] !== null;
  }

  /** Whether the key is there and says that there is nothing. */
  isNull(key: string): boolean {
    return this.#json[key] === null;
  }

  /** An object inside this one. */
  section(key: string): ConfigFields {
    return new ConfigFields(this.#json[key] ?? null, `${this.#path}" > "${key}`);
  }

  /** A whole number >= 1. Without a default the key must be there. */
  count(key: string, fallback?: number): number {
    return this.#get(key, fallback, "a whole number >= 1", isCount);
  }

  /** A whole number >= 0. */
  index(key: string, fallback?: number): number {
    return this.#get(key, fallback, "a whole number >= 0", isIndex);
  }

  /** A whole number >= 0, or the first of a list of them. */
  firstIndex(key: string, fallback?: number): number {
    const isList = (v: unknown): v is number[] =>
      Array.isArray(v) && v.length > 0 && v.every(isIndex);
    const value = this.#get(
      key,
      fallback,
      "a whole number >= 0, or a list of them",
      (v): v is number | number[] => isIndex(v) || isList(v),
    );
    return typeof value === "number" ? value : value[0]!;
  }

  /** A finite number. */
  number(key: string, fallback?: number): number {
    return this.#get(key, fallback, "a number", (v): v is number => Number.isFinite(v));
  }

  /** A number between 0 and 1, without either. */
  share(key: string, fallback?: number): number {
    return this.#get(key, fallback, "a number above 0 and below 1", isShare);
  }

  /** A non-empty list of numbers between 0 and 1, without either. */
  shares(key: string): readonly number[] {
    return this.#get(key, undefined, "a list of numbers above 0 and below 1", isShareList);
  }

  boolean(key: string, fallback?: boolean): boolean {
    return this.#get(key, fallback, "true or false", (v): v is boolean => typeof v === "boolean");
  }

  /** A whole number in `min..max`. */
  whole(key: string, min: number, max: number, fallback?: number): number {
    const isWithin = (v: unknown): v is number => isIndex(v) && min <= v && v <= max;
    return this.#get(key, fallback, `a whole number in ${min}..${max}`, isWithin);
  }

  text(key: string, fallback?: string): string {
    return this.#get(key, fallback, "a text", (v): v is string => typeof v === "string");
  }

  /** One of the given words. */
  choice<const T extends string>(key: string, choices: readonly T[], fallback?: T): T {
    const isChoice = (v: unknown): v is T => choices.includes(v as T);
    return this.#get(key, fallback, `one of ${choices.map((c) => `"${c}"`).join(", ")}`, isChoice);
  }

  /** A non-empty list of whole numbers >= 1. */
  counts(key: string, fallback?: readonly number[]): readonly number[] {
    return this.#get(key, fallback, "a list of whole numbers >= 1", isCountList);
  }

  /** One whole number for all of `length` levels, or a list with one per level. */
  countPerLevel(key: string, length: number, fallback?: number): readonly number[] {
    const raw = this.#get(
      key,
      fallback,
      `a whole number >= 1 or a list of ${length}`,
      (v): v is number | number[] => isCount(v) || (isCountList(v) && v.length === length),
    );
    return typeof raw === "number" ? new Array<number>(length).fill(raw) : raw;
  }

  /** A list of words out of the given ones, of known length. */
  choices<const T extends string>(
    key: string,
    choices: readonly T[],
    length: number,
  ): readonly T[] {
    const isList = (v: unknown): v is T[] =>
      Array.isArray(v) && v.length === length && v.every((item) => choices.includes(item));
    return this.#get(
      key,
      undefined,
      `${length} of ${choices.map((c) => `"${c}"`).join(", ")}`,
      isList,
    );
  }

  /** Refuses a feature that we do not build: the key must be absent, or have one of these values. */
  mustBe(key: string, ...supported: readonly unknown[]): void {
    const value = this.#json[key];
    if (value === undefined || supported.some((s) => isDeepStrictEqual(s, value))) {
      return;
    }
    const wanted = supported.map((s) => JSON.stringify(s)).join(" or ");
    throw new FormatError(
      `Config "${this.#path}" needs a feature that is not supported: "${key}" must be ${wanted}: ` +
        `current value is ${JSON.stringify(value)}`,
    );
  }

  #get<T>(key: string, fallback: T | undefined, wanted: string, is: (v: unknown) => v is T): T {
    const value = this.#json[key] ?? fallback;
    if (is(value)) return value;
    throw new FormatError(
      `Config "${this.#path}": "${key}" must be ${wanted}: current value is ${
        value === undefined ? "absent" : JSON.stringify(value)
      }`,
    );
  }
}

const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 1;
const isIndex = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const isShare = (v: unknown): v is number => typeof v === "number" && 0 < v && v < 1;
const isShareList = (v: unknown): v is number[] =>
  Array.isArray(v) && v.length > 0 && v.every(isShare);
const isCountList = (v: unknown): v is number[] =>
  Array.isArray(v) && v.length > 0 && v.every(isCount);
