/** A method's parameters as they were written, made into the numbers that its function gets for each block. @module */

import type { Family } from "../models/families.ts";
import { show } from "../show.ts";
import { didYouMean } from "../terminal/did_you_mean.ts";
import { type BlockWeights, parseBlockWeights, type WrittenWeights } from "./block_weights.ts";
import type { MergeMethod, ParameterSpec } from "./methods/method.ts";
import { ParameterError } from "./parameter_error.ts";

/** By name: a number or row of block weights, a list of numbers (`weights`), or a list of rows (`mbw`). */
export type WrittenParameters = Readonly<
  Record<string, WrittenWeights | readonly WrittenWeights[]>
>;

/** BASE of every row that does not have its own. It belongs to no method. */
export const BASE_PARAMETER = "base";

type Numbers = Readonly<Record<string, number | readonly number[]>>;

export interface ParameterOptions {
  /** How many models are merged. */
  readonly models: number;
  readonly family: Family;
}

/** Rounding of sums like 0.7 + 0.2 + 0.1. Not more: 0.333 three times would make the whole model weaker. */
const SUM_TOLERANCE = 1e-6;

/**
 * Checks all parameters of a method.
 *
 * @returns what its function gets for a tensor of a block
 * @throws {ParameterError} if one is unknown, missing, or does not fit
 */
export function resolveParameters(
  method: MergeMethod,
  written: WrittenParameters,
  options: ParameterOptions,
): (block: string) => Numbers {
  const names = Object.keys(method.parameters);
  const unknown = Object.keys(written).find((name) =>
    !names.includes(name) && name !== BASE_PARAMETER
  );
  if (unknown !== undefined) {
    throw new ParameterError(
      unknown,
      `must not be given, as this method has no such parameter${didYouMean(unknown, names)}: ${
        names.length === 0 ? "it has none" : `it has ${names.join(", ")}`
      }`,
    );
  }
  const base = readBase(written, Object.values(method.parameters));
  const resolved = Object.entries(method.parameters).map(([name, spec]) =>
    [name, resolve(name, spec, written[name], { ...options, base })] as const
  );
  return (block) => Object.fromEntries(resolved.map(([name, valueOf]) => [name, valueOf(block)]));
}

function readBase(
  written: WrittenParameters,
  specs: readonly ParameterSpec[],
): number | undefined {
  const base = written[BASE_PARAMETER];
  if (base === undefined) return undefined;
  if (typeof base !== "number" || !Number.isFinite(base)) {
    throw new ParameterError(BASE_PARAMETER, `must be a number: current value is ${show(base)}`);
  }
  if (!specs.some(({ kind }) => kind === "number" || kind === "rows")) {
    throw new ParameterError(
      BASE_PARAMETER,
      "must not be given, as this method has no parameter that differs between blocks",
    );
  }
  return base;
}

type Resolved = (block: string) => number | readonly number[];
type Written = WrittenParameters[string] | undefined;
type ResolveOptions = ParameterOptions & { readonly base: number | undefined };

function resolve(
  field: string,
  spec: ParameterSpec,
  written: Written,
  options: ResolveOptions,
): Resolved {
  switch (spec.kind) {
    case "number":
      return resolveNumber(field, spec, written ?? spec.default, options);
    case "weights": {
      const weights = resolveWeights(field, written, options.models);
      return () => weights;
    }
    case "rows": {
      const rows = resolveRows(field, written, options);
      return (block) => rows.map((row) => row(block));
    }
  }
}

function resolveNumber(
  field: string,
  { min = -Infinity, max = Infinity }: { readonly min?: number; readonly max?: number },
  written: NonNullable<Written>,
  options: ResolveOptions,
): Resolved {
  const valueOf = parseRow(field, written, options);
  return (block) => {
    const value = valueOf(block);
    if (value >= min && value <= max) return value;
    throw new ParameterError(field, `must be from ${min} to ${max}: current value is ${value}`);
  };
}

/** @throws {ParameterError} unless there is one number a model, and all sum to 1 */
function resolveWeights(field: string, written: Written, models: number): readonly number[] {
  if (written === undefined) return new Array<number>(models).fill(1 / models);
  if (!Array.isArray(written) || !written.every((item) => Number.isFinite(item))) {
    throw new ParameterError(field, `must be a list of numbers: current value is ${show(written)}`);
  }
  const weights = written as readonly number[];
  if (weights.length !== models) {
    throw new ParameterError(
      field,
      `must have one number for each of the ${models} models: current count is ${weights.length}`,
    );
  }
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (Math.abs(sum - 1) > SUM_TOLERANCE) {
    const hint = sum > 0
      ? `; ${weights.map((weight) => Number((weight / sum).toPrecision(6))).join(",")} do`
      : "";
    throw new ParameterError(
      field,
      `must sum to 1: current sum is ${Number(sum.toPrecision(9))}${hint}`,
    );
  }
  return weights;
}

function resolveRows(field: string, written: Written, options: ResolveOptions): BlockWeights[] {
  const others = options.models - 1;
  if (written === undefined) {
    throw new ParameterError(
      field,
      `is missing: expected a row of block weights, as GRAD_V, for each model after the first`,
    );
  }
  const isOneRow = !Array.isArray(written) || written.every((item) => typeof item === "number");
  const rows = (isOneRow ? [written] : written) as readonly WrittenWeights[];
  if (rows.length !== others) {
    throw new ParameterError(
      field,
      `must have one row for each model after the first, ${others} in all: current count is ${rows.length}`,
    );
  }
  return rows.map((row) => parseRow(field, row, options));
}

function parseRow(
  field: string,
  written: unknown,
  { family, base }: ResolveOptions,
): BlockWeights {
  if (!isWrittenWeights(written)) {
    throw new ParameterError(
      field,
      `must be one number or row of numbers: current value is ${show(written)}`,
    );
  }
  return parseBlockWeights(written, { field, family, ...(base !== undefined && { base }) });
}

/** A recipe may hold anything. */
function isWrittenWeights(value: unknown): value is WrittenWeights {
  if (typeof value === "number" || typeof value === "string") return true;
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}
