/**
 * The size that a dimension has in one run: its expression (`2*H*W`, `(floor((H-1)/2)+1)`, `(A+B)`; written by `dim.ts`)
 * with numbers for the symbols.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import type { Dim, GraphShape } from "./dim.ts";

/** Symbol -> size. */
export type Sizes = ReadonlyMap<string, number>;

/** @throws {ShapeError} if no size is given for a symbol, or the expression is none of `dim.ts` */
export function evaluateDim(dim: Dim, sizes: Sizes): number {
  if (typeof dim === "number") return dim;
  const reader = new Reader(dim, sizes);
  const value = reader.sum();
  if (!reader.isAtEnd) throw reader.error();
  return value;
}

/** @throws {ShapeError} as `evaluateDim()` */
export function evaluateShape(shape: GraphShape, sizes: Sizes): number[] {
  return shape.map((dim) => evaluateDim(dim, sizes));
}

/** Recursive descent: sums of products of numbers, symbols, parentheses and `floor`. */
class Reader {
  readonly #text: string;
  readonly #sizes: Sizes;
  #at = 0;

  constructor(text: string, sizes: Sizes) {
    this.#text = text;
    this.#sizes = sizes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  error(): ShapeError {
    return new ShapeError(
      `Dimension "${this.#text}" must be an expression: it is not one at character ${this.#at}`,
    );
  }

  sum(): number {
    let value = this.#product();
    for (let sign = this.#take(/[+-]/y); sign; sign = this.#take(/[+-]/y)) {
      value += sign === "+" ? this.#product() : -this.#product();
    }
    return value;
  }

  #product(): number {
    let value = this.#factor();
    for (let sign = this.#take(/[*/]/y); sign; sign = this.#take(/[*/]/y)) {
      if (sign === "*") value *= this.#factor();
      else value /= this.#factor();
    }
    return value;
  }

  #factor(): number {
    const number = this.#take(/\d+/y);
    if (number) return Number(number);
    if (this.#take(/floor(?=\()/y)) return Math.floor(this.#factor());
    const symbol = this.#take(/[A-Za-z_]\w*/y);
    if (symbol) return this.#size(symbol);
    if (!this.#take(/\(/y)) throw this.error();
    const value = this.sum();
    if (!this.#take(/\)/y)) throw this.error();
    return value;
  }

  #size(symbol: string): number {
    const size = this.#sizes.get(symbol);
    if (size !== undefined) return size;
    throw new ShapeError(
      `Dimension "${this.#text}" needs a size for "${symbol}": sizes are given for ${
        [...this.#sizes.keys()].join(", ") || "none"
      }`,
    );
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0];
    this.#at += match?.length ?? 0;
    return match;
  }
}
