/**
 * Strict reading of a TOML table: every key is known, every value has its type, and an error says
 * which file, key and value it is about.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { didYouMean } from "../terminal/did_you_mean.ts";

/** One table of a TOML file and where it stands. */
export class TomlFields {
  /** @param where the table's key path, such as `experts[1]`; empty for the file's top level */
  constructor(
    readonly file: string,
    readonly where: string,
    private readonly table: Readonly<Record<string, unknown>>,
  ) {}

  /** The key path of `key`, as messages show it. */
  pathOf(key: string): string {
    return this.where === "" ? key : `${this.where}.${key}`;
  }

  /** An error about a key's value. */
  error(key: string, expected: string, cause?: unknown): FormatError {
    const value = this.has(key) ? `: current value is ${show(this.table[key])}` : "";
    return new FormatError(`${this.file}: "${this.pathOf(key)}" must be ${expected}${value}`, {
      ...(cause === undefined ? {} : { cause }),
      details: { file: this.file, key: this.pathOf(key) },
    });
  }

  /** @throws {FormatError} if the table has a key that is not in `known` */
  refuseUnknown(known: readonly string[]): void {
    const unknown = Object.keys(this.table).find((key) => !known.includes(key));
    if (unknown === undefined) return;
    const place = this.where === "" ? "" : ` in ${this.where}`;
    throw new FormatError(
      `${this.file}: "${unknown}" is no known key${place}${didYouMean(unknown, known)}: ` +
        `known keys are ${known.join(", ")}`,
      { details: { file: this.file, key: this.pathOf(unknown) } },
    );
  }

  get keys(): readonly string[] {
    return Object.keys(this.table);
  }

  /** The value of a key that has no one type; undefined if there is none. */
  raw(key: string): unknown {
    return this.has(key) ? this.table[key] : undefined;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.table, key);
  }

  /** @throws {FormatError} if the key is missing or not a string, or the string is empty */
  string(key: string, expected: string): string {
    const value = this.has(key) ? this.table[key] : undefined;
    if (value === undefined) {
      throw new FormatError(
        `${this.file}: "${this.pathOf(key)}" is missing: expected ${expected}`,
        {
          details: { file: this.file, key: this.pathOf(key) },
        },
      );
    }
    if (typeof value !== "string" || value.trim() === "") throw this.error(key, expected);
    return value;
  }

  /** @throws {FormatError} if `read` has no value for what the table has */
  value<T>(key: string, expected: string, read: (value: unknown) => T | undefined): T {
    const value = this.has(key) ? read(this.table[key]) : undefined;
    if (value === undefined) throw this.error(key, expected);
    return value;
  }

  isList(key: string): boolean {
    return this.has(key) && Array.isArray(this.table[key]);
  }

  /** @throws {FormatError} if the key is missing or no list of strings */
  strings(key: string, expected: string): readonly string[] {
    const value = this.has(key) ? this.table[key] : undefined;
    if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
    throw this.error(key, expected);
  }

  /** The table of a key (`[key]`); undefined if there is none. */
  child(
    key: string,
    expected = `a table, headed by [${this.pathOf(key)}]`,
  ): TomlFields | undefined {
    if (!this.has(key)) return undefined;
    const value = this.table[key];
    if (!isTable(value)) throw this.error(key, expected);
    return new TomlFields(this.file, this.pathOf(key), value);
  }

  /** The tables of an array of tables (`[[key]]`); empty if there is none. */
  tables(key: string): TomlFields[] {
    if (!this.has(key)) return [];
    const value = this.table[key];
    if (!Array.isArray(value) || !value.every(isTable)) {
      throw this.error(key, `tables, each headed by [[${key}]]`);
    }
    return value.map((table, i) => new TomlFields(this.file, `${this.pathOf(key)}[${i}]`, table));
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}
