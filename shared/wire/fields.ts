/**
 * Reads the fields of a message that a peer sent, one check per kind. A peer may be any program in any
 * language, so nothing is taken on trust; errors name message and field as the .proto file does.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import { show } from "../show.ts";

/** A decoded or to-be-encoded protobuf message; only `shared/wire` looks inside. */
export type Message = Readonly<Record<string, unknown>>;

export class Fields {
  readonly #message: Message;
  readonly #name: string;

  /** @param name the message's name, for errors */
  constructor(message: unknown, name: string) {
    if (typeof message !== "object" || message === null) {
      throw new TuttiError("INVALID_ARGUMENT", `${name} must be set`, { details: { field: name } });
    }
    this.#message = message as Message;
    this.#name = name;
  }

  /** `OpenSession.model_hash` */
  path(field: string): string {
    return `${this.#name}.${field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
  }

  get(field: string): unknown {
    return this.#message[field];
  }

  has(field: string): boolean {
    return this.#message[field] !== undefined && this.#message[field] !== null;
  }

  /** @throws {TuttiError} INVALID_ARGUMENT naming the field */
  fail(field: string, expected: string, value: unknown = this.get(field)): never {
    const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : show(value);
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `${this.path(field)} must be ${expected}: current value is ${shown}`,
      { details: { field: this.path(field) } },
    );
  }

  /** A string that may be empty. */
  text(field: string, maxLength = Infinity): string {
    const value = this.get(field) ?? "";
    if (typeof value !== "string") this.fail(field, "a string");
    if (value.length > maxLength) {
      this.fail(field, `at most ${maxLength} characters`, `${value.length} characters`);
    }
    return value;
  }

  /** A string that is not empty. */
  name(field: string): string {
    return this.text(field) || this.fail(field, "a non-empty string", "");
  }

  /** Bytes, exactly so many. */
  bytes(field: string, length: number): Uint8Array {
    const value = this.get(field) ?? new Uint8Array();
    if (!(value instanceof Uint8Array)) this.fail(field, "bytes");
    if (value.length !== length) this.fail(field, `${length} bytes`, `${value.length} bytes`);
    return value;
  }

  oneOf<T extends string>(field: string, allowed: readonly T[]): T {
    const value = allowed.find((choice) => choice === this.get(field));
    return value ?? this.fail(field, `one of ${allowed.map((a) => `"${a}"`).join(", ")}`);
  }

  /** A whole number in `min..max`. */
  whole(field: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
    return this.#whole(field, this.get(field), min, max);
  }

  /** A finite number >= `min`. */
  number(field: string, min = 0): number {
    const value = this.get(field);
    const fits = typeof value === "number" && Number.isFinite(value) && value >= min;
    return fits ? value : this.fail(field, `a finite number >= ${min}`);
  }

  flag(field: string): boolean {
    const value = this.get(field) ?? false;
    return typeof value === "boolean" ? value : this.fail(field, "true or false");
  }

  /** A message; `Fields` over it. */
  message(field: string): Fields {
    return new Fields(this.get(field), this.path(field));
  }

  list(field: string, maxLength: number): readonly unknown[] {
    const value = this.get(field) ?? [];
    if (!Array.isArray(value)) this.fail(field, "a list");
    if (value.length > maxLength) {
      this.fail(field, `a list of at most ${maxLength} entries`, `${value.length} entries`);
    }
    return value;
  }

  /** A list of finite numbers. */
  numbers(field: string, maxLength: number): number[] {
    return this.list(field, maxLength).map((value) =>
      typeof value === "number" && Number.isFinite(value)
        ? value
        : this.fail(field, "a list of finite numbers", value)
    );
  }

  /** A list of whole numbers >= 0, such as a shape. */
  wholes(field: string, maxLength: number): number[] {
    return this.list(field, maxLength).map((value) => this.#whole(field, value, 0));
  }

  #whole(field: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
    const fits = typeof value === "number" && Number.isSafeInteger(value) && value >= min &&
      value <= max;
    if (fits) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `>= ${min}` : `in ${min}..${max}`;
    return this.fail(field, `a whole number ${range}`, value);
  }
}
