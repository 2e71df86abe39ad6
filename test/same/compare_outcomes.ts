/**
 * Compares two outcomes to the bit and locates the first difference: -0 is not 0, one NaN is not another, and nothing is near
 * enough.
 *
 * @module
 */

import { bitEqual } from "../../shared/tensor/compare.ts";
import {
  bytesOf,
  formatType,
  type Shape,
  type Tensor,
  toFloat32,
} from "../../shared/tensor/tensor.ts";
import type { Outcome } from "./outcome.ts";

/** The first thing that is not the same. */
export interface OutcomeDifference {
  /** Its kind and its name: `latents "latents"`. */
  readonly tensor: string;
  /** Of the first value that differs. Without it the tensors themselves differ: one is missing, or is of another type. */
  readonly index?: readonly number[];
  readonly base: string;
  readonly current: string;
  /** How many values of this tensor differ, and of how many. */
  readonly differing?: number;
  readonly values?: number;
  /** Largest difference of two values of this tensor; NaN if one of them is. */
  readonly maxAbs?: number;
}

const MISSING = "missing";

/** @returns undefined if both hold the same tensors with the same bits */
export function firstDifference(base: Outcome, current: Outcome): OutcomeDifference | undefined {
  for (const kind of union(Object.keys(base), Object.keys(current))) {
    const [before, now] = [base[kind] ?? new Map(), current[kind] ?? new Map()];
    for (const name of union(before.keys(), now.keys())) {
      const tensor = `${kind} ${JSON.stringify(name)}`;
      const difference = tensorDifference(tensor, before.get(name), now.get(name));
      if (difference) return difference;
    }
  }
  return undefined;
}

/** Says it in one line. */
export function formatDifference(difference: OutcomeDifference): string {
  const { tensor, index, base, current, differing, values, maxAbs } = difference;
  const where = index === undefined ? tensor : `${tensor} [${index.join(", ")}]`;
  const extent = differing === undefined
    ? ""
    : ` (${differing} of ${values} values differ, by ${maxAbs?.toPrecision(2)} at most)`;
  return `${where}: ${base} in the base, ${current} now${extent}`;
}

function tensorDifference(
  tensor: string,
  base: Tensor | undefined,
  current: Tensor | undefined,
): OutcomeDifference | undefined {
  const types = [base, current].map((each) => each ? formatType(each.dtype, each.shape) : MISSING);
  const [baseType = MISSING, currentType = MISSING] = types;
  if (!base || !current || baseType !== currentType) {
    return { tensor, base: baseType, current: currentType };
  }
  if (bitEqual(base.data, current.data)) return undefined;
  return valueDifference(tensor, base, current);
}

function valueDifference(tensor: string, base: Tensor, current: Tensor): OutcomeDifference {
  const [before, now] = [numbersOf(base), numbersOf(current)];
  const [beforeBits, nowBits] = [hexOf(base), hexOf(current)];
  let first = -1, differing = 0, maxAbs = 0;
  for (let i = 0; i < before.length; i++) {
    if (beforeBits(i) === nowBits(i)) continue;
    if (first < 0) first = i;
    differing++;
    // Numbers that are equal, such as 0 and -0, and infinities of one sign, are 0 apart.
    maxAbs = Math.max(maxAbs, before[i] === now[i] ? 0 : Math.abs(before[i]! - now[i]!));
  }
  const [baseText, currentText] = [show(before[first]!), show(now[first]!)];
  // Two NaNs, and whole numbers too large for a double, are told apart by their bits alone.
  const isAlike = baseText === currentText;
  return {
    tensor,
    index: indexIn(base.shape, first),
    base: isAlike ? `${baseText} (0x${beforeBits(first)})` : baseText,
    current: isAlike ? `${currentText} (0x${nowBits(first)})` : currentText,
    differing,
    values: before.length,
    maxAbs,
  };
}

function numbersOf(tensor: Tensor): ArrayLike<number> {
  switch (tensor.dtype) {
    case "float16":
    case "bfloat16":
      // Held as raw bits.
      return toFloat32(tensor).data;
    case "int64":
    case "uint64":
      return Array.from(tensor.data as BigInt64Array | BigUint64Array, Number);
    default:
      return tensor.data as ArrayLike<number>;
  }
}

/** The bits of one value, most significant byte first. */
function hexOf(tensor: Tensor): (index: number) => string {
  const bytes = bytesOf(tensor);
  const size = tensor.data.BYTES_PER_ELEMENT;
  return (index) => bytes.slice(index * size, (index + 1) * size).reverse().toHex();
}

function show(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** Position of a row-major tensor's value. */
function indexIn(shape: Shape, offset: number): number[] {
  let rest = offset;
  const index = [...shape].reverse().map((dim) => {
    const position = rest % dim;
    rest = Math.floor(rest / dim);
    return position;
  });
  return index.reverse();
}

/** In the order of the first, then what only the second has. */
function union(first: Iterable<string>, second: Iterable<string>): string[] {
  return [...new Set([...first, ...second])];
}
