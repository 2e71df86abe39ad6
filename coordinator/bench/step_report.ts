/**
 * What a step's time was spent on: operations of convolutions and matrix products over the time in them, as a share of
 * the machine's best matrix product, and the rest of the step by operator.
 *
 * @module
 */

import { FLOP_KINDS, type FlopCounts, type FlopKind, flopKind } from "../../shared/onnx/flops.ts";
import type { RunProfile } from "./ort_profile.ts";

export interface OpRow {
  readonly op: string;
  readonly kind: FlopKind | undefined;
  readonly calls: number;
  readonly ms: number;
}

export interface KindRow {
  readonly kind: FlopKind;
  readonly ms: number;
  readonly flops: number;
}

export interface StepReport {
  /** Of the step whose time is the median; everything below is of this one. */
  readonly stepMs: number;
  readonly elapsedMs: readonly number[];
  /** Of the step that loaded the weights. */
  readonly firstMs: number;
  /** Slowest operator first. */
  readonly ops: readonly OpRow[];
  readonly kinds: readonly KindRow[];
  /** Of the step, not in any operator: the runtime between operators, and our own code. */
  readonly outsideMs: number;
  readonly flops: number;
  /** FLOP per second: of the machine's best matrix product, of the products in the step, of the whole step. */
  readonly bestRate: number;
  readonly productRate: number;
  readonly stepRate: number;
}

export interface StepMeasurements {
  /** Milliseconds per step, without the first one. */
  readonly elapsedMs: readonly number[];
  readonly firstMs: number;
  /** What the operators of all blocks took, per step. */
  readonly profiles: readonly RunProfile[];
  readonly flops: FlopCounts;
  readonly bestRate: number;
}

export function stepReport(
  { elapsedMs, firstMs, profiles, flops: counts, bestRate }: StepMeasurements,
): StepReport {
  const median = medianIndex(elapsedMs);
  const stepMs = elapsedMs[median]!;
  const ops = [...profiles[median]!]
    .map(([op, { calls, ms }]) => ({ op, kind: flopKind(op), calls, ms }))
    .sort((a, b) => b.ms - a.ms);
  const sumMs = (rows: readonly { readonly ms: number }[]) =>
    rows.reduce((sum, { ms }) => sum + ms, 0);
  const kinds = FLOP_KINDS.map((kind) => ({
    kind,
    ms: sumMs(ops.filter((row) => row.kind === kind)),
    flops: counts[kind],
  }));
  const flops = kinds.reduce((sum, kind) => sum + kind.flops, 0);
  const productMs = sumMs(kinds);
  return {
    stepMs,
    elapsedMs,
    firstMs,
    ops,
    kinds,
    outsideMs: stepMs - sumMs(ops),
    flops,
    bestRate,
    productRate: flops / (productMs / 1000),
    stepRate: flops / (stepMs / 1000),
  };
}

/** Where the median is; of an even number the lower one, so that it is a step that was really run. */
function medianIndex(values: readonly number[]): number {
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  return order[Math.floor((order.length - 1) / 2)]!;
}
