/**
 * Dimensions of values inside a graph: a known size, or a symbol (`B`, `H`, `W`) that a run binds.
 * Derived symbols are written as expressions, so equal expressions are equal sizes.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";

export type Dim = number | string;
export type GraphShape = readonly Dim[];

/** Size of `a` and `b` side by side on one axis. */
export function addDims(a: Dim, b: Dim): Dim {
  return typeof a === "number" && typeof b === "number" ? a + b : `(${a}+${b})`;
}

/** The factors of a dimension: its number, and the symbols multiplied with it. */
function factorize(dims: readonly Dim[]): { factor: number; symbols: string[] } {
  let factor = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    if (typeof dim === "number") factor *= dim;
    else {
      for (const part of splitProduct(dim)) {
        if (/^\d+$/.test(part)) factor *= Number(part);
        else symbols.push(part);
      }
    }
  }
  return { factor, symbols };
}

/** The factors of "2*H*W". Sums stand in parentheses, however deep, and are never split. */
function splitProduct(symbol: string): string[] {
  const factors = [""];
  let depth = 0;
  for (const char of symbol) {
    if (char === "(") depth++;
    else if (char === ")") depth--;
    if (char === "*" && depth === 0) factors.push("");
    else factors[factors.length - 1] += char;
  }
  return factors;
}

/** Size of axes merged into one. */
export function mulDims(dims: readonly Dim[]): Dim {
  const { factor, symbols } = factorize(dims);
  if (symbols.length === 0) return factor;
  return factor === 1 ? symbols.join("*") : `${factor}*${symbols.join("*")}`;
}

/**
 * The size that is left of `dims` (multiplied) after taking out `known`; what -1 stands for in a reshape.
 *
 * @throws {ShapeError} if `known` does not divide `dims`
 */
export function divDims(dims: readonly Dim[], known: readonly Dim[]): Dim {
  const all = factorize(dims);
  const taken = factorize(known);
  const symbols = [...all.symbols];
  for (const symbol of taken.symbols) {
    const index = symbols.indexOf(symbol);
    if (index < 0) throw new ShapeError(`Reshape cannot take [${known}] out of [${dims}]`);
    symbols.splice(index, 1);
  }
  if (taken.factor === 0 || all.factor % taken.factor !== 0) {
    throw new ShapeError(`Reshape cannot take [${known}] out of [${dims}]`);
  }
  return mulDims([all.factor / taken.factor, ...symbols]);
}

/** Output size of a convolution along one axis. */
export function convDim(
  size: Dim,
  kernel: number,
  stride: number,
  padBegin: number,
  padEnd: number,
): Dim {
  const shrink = kernel - padBegin - padEnd;
  if (typeof size === "number") {
    const out = Math.floor((size - shrink) / stride) + 1;
    if (out < 1) {
      throw new ShapeError(
        `Convolution of kernel ${kernel} needs at least ${shrink} pixels: current size is ${size}`,
      );
    }
    return out;
  }
  if (stride === 1 && shrink === 1) return size;
  return `(floor((${size}-${shrink})/${stride})+1)`;
}

/**
 * Shape of an elementwise operation over both shapes, by numpy's broadcasting rules.
 *
 * @throws {ShapeError} if two sizes differ and neither is 1
 */
export function broadcastShapes(op: string, a: GraphShape, b: GraphShape): GraphShape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw new ShapeError(`${op} cannot broadcast [${a}] with [${b}]: axis ${axis} differs`);
  });
}
