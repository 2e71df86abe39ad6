/** How users write an ensembling method: `NAME`, `NAME:VALUE`, or `NAME:key=value,key=value`. @module */

import { UsageError } from "../../../shared/errors.ts";
import { didYouMean } from "../../../shared/terminal/did_you_mean.ts";

export interface MethodText {
  readonly name: string;
  /** Of options without a key, in order. */
  readonly values: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

/** @throws {UsageError} if a part is empty or a key comes twice */
export function parseMethod(text: string): MethodText {
  const [, name = "", rest] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  const values: string[] = [];
  const options = new Map<string, string>();
  for (const part of rest === undefined ? [] : rest.split(",").map((part) => part.trim())) {
    const [key = "", value] = part.split(/=(.*)/s, 2);
    const isTwice = value === undefined ? values.includes(part) : options.has(key);
    if (part === "" || key === "" || value === "" || isTwice) {
      throw new UsageError(
        `A method must be NAME, NAME:VALUE or NAME:key=value,key=value, each key once: current value is "${text}"`,
      );
    }
    if (value === undefined) values.push(part);
    else options.set(key, value);
  }
  return { name: name.trim().toLowerCase(), values, options };
}

/** Reads the options of one method; what nobody asked for at the end is refused. */
export class MethodOptions {
  readonly #text: MethodText;
  readonly #experts: readonly string[];
  readonly #known: string[] = [];
  #takesValues = false;

  /** @param experts names of the ensemble's experts, in its order */
  constructor(text: MethodText, experts: readonly string[]) {
    this.#text = text;
    this.#experts = experts;
  }

  /** One of a few words. */
  choice<T extends string>(key: string, choices: readonly T[], fallback: T): T {
    const text = this.#take(key);
    if (text === undefined) return fallback;
    const value = choices.find((choice) => choice === text);
    if (value !== undefined) return value;
    throw this.#wrong(key, `one of ${choices.join(", ")}`, text);
  }

  /** A finite number in a range, both ends included. */
  number(
    key: string,
    { min = -Infinity, max = Infinity, isWhole = false } = {},
  ): number | undefined {
    const text = this.#take(key);
    if (text === undefined) return undefined;
    const value = this.#number(key, text, min, max);
    if (!isWhole || Number.isSafeInteger(value)) return value;
    throw this.#wrong(key, `a whole number in ${min}..${max}`, text);
  }

  /** An expert and a number: `photo:0.5`. */
  expertNumber(key: string): { readonly expert: number; readonly value: number } | undefined {
    const text = this.#take(key);
    if (text === undefined) return undefined;
    const [name = "", number = ""] = text.split(/:(.*)/s, 2);
    return { expert: this.indexOf(name), value: this.#number(key, number, -Infinity, Infinity) };
  }

  /** Index of the expert that a key names. */
  expert(key: string): number | undefined {
    const text = this.#take(key);
    return text === undefined ? undefined : this.indexOf(text);
  }

  /** Index of the one expert that the method is about: its only value without a key. */
  only(): number {
    this.#takesValues = true;
    const { values, name } = this.#text;
    if (values.length === 1) return this.indexOf(values[0]!);
    throw new UsageError(
      `Method ${name} must name one expert, as ${name}:${this.#experts[0]}: ` +
        `experts are ${this.#experts.join(", ")}`,
    );
  }

  /** A number for each expert that is named as a key, by index, in the order in which they are written. */
  perExpert({ min = -Infinity, max = Infinity } = {}): ReadonlyMap<number, number> {
    return new Map(
      [...this.perExpertText()].map(([expert, text]) => [
        expert,
        this.#number(this.#experts[expert]!, text, min, max),
      ]),
    );
  }

  /** The text of each expert that is named as a key, by index, in the order in which they are written. */
  perExpertText(): ReadonlyMap<number, string> {
    this.#known.push(...this.#experts);
    const named = [...this.#text.options].filter(([key]) => this.#experts.includes(key));
    return new Map(named.map(([key, text]) => [this.#experts.indexOf(key), text]));
  }

  /** @throws {UsageError} if the ensemble has no such expert */
  indexOf(expert: string): number {
    const index = this.#experts.indexOf(expert);
    if (index >= 0) return index;
    throw new UsageError(
      `Method ${this.#text.name} names the expert "${expert}", which the ensemble does not have` +
        `${didYouMean(expert, this.#experts)}: experts are ${this.#experts.join(", ")}`,
    );
  }

  /** @throws {UsageError} naming an option that the method does not take */
  refuseOthers(): void {
    const { name, options, values } = this.#text;
    const odd = [...options.keys()].find((key) => !this.#known.includes(key)) ??
      (this.#takesValues ? undefined : values[0]);
    if (odd === undefined) return;
    const known = this.#known.length === 0 ? "it takes none" : `it takes ${this.#known.join(", ")}`;
    throw new UsageError(
      `Method ${name} has no option "${odd}"${didYouMean(odd, this.#known)}: ${known}`,
    );
  }

  #take(key: string): string | undefined {
    this.#known.push(key);
    return this.#text.options.get(key);
  }

  #number(key: string, text: string, min: number, max: number): number {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && min <= value && value <= max) return value;
    const range = min === -Infinity && max === Infinity ? "" : ` in ${min}..${max}`;
    throw this.#wrong(key, `a number${range}`, text);
  }

  #wrong(key: string, expected: string, text: string): UsageError {
    const { name } = this.#text;
    return new UsageError(
      `Option "${key}" of method ${name} must be ${expected}: current value is "${text}"`,
    );
  }
}
