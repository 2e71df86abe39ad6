/**
 * What a merge method is: a plain function from tensors of one key, one of each model, to the merged tensor, with the
 * parameters that it takes written down beside it.
 *
 * @module
 */

import type { Values } from "../values.ts";

interface NumberParameter {
  /** One number; may differ from block to block. */
  readonly kind: "number";
  readonly default: number;
  /** @default any finite number */
  readonly min?: number;
  /** @default any finite number */
  readonly max?: number;
}

interface WeightsParameter {
  /** One number for each model, the same in all blocks, that sum to 1. Equal ones if not given. */
  readonly kind: "weights";
}

interface RowsParameter {
  /** One number for each model after the first; may differ from block to block. */
  readonly kind: "rows";
}

export type ParameterSpec = NumberParameter | WeightsParameter | RowsParameter;

export type ParameterSpecs = Readonly<Record<string, ParameterSpec>>;

/** What a function gets for its parameters. */
type ParameterValues<P extends ParameterSpecs> = {
  readonly [K in keyof P]: P[K] extends NumberParameter ? number : readonly number[];
};

/** What a method knows of the whole models. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
}

export interface MergeMethod<P extends ParameterSpecs = ParameterSpecs> {
  /** What it computes, for people. */
  readonly formula: string;
  /** How many models it takes. */
  readonly models: { readonly min: number; readonly max: number };
  readonly parameters: P;
  /** Whether the tensor of a key stays the first model's, though all models have it. @default none does */
  keeps?(key: string): boolean;
  /** Goes once over all tensors that merge, one of each model, for a method that must know of all before it merges any. */
  survey?(tensors: Iterable<readonly Values[]>): ValueRange;
  /** @param range what `survey()` found, where there is one */
  merge(models: readonly Values[], parameters: ParameterValues<P>, range: ValueRange): Values;
}

/** Checks that the function takes the parameters that are written down, and forgets which these are. */
export function defineMethod<const P extends ParameterSpecs>(method: MergeMethod<P>): MergeMethod {
  return method as unknown as MergeMethod;
}
