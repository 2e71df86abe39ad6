/**
 * One layer of a LoRA out of the tensors that it has in the file: which kind it is, and whether they fit together. Names are
 * kohya's, PEFT's and LyCORIS's.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import type { Factor, Product, WeightChange } from "../../models/composed_update.ts";
import type { WeightLocation } from "../../models/weights.ts";
import { show } from "../../show.ts";
import { elementCount, type Shape } from "../../tensor/tensor.ts";

export interface LoraLayer {
  /** The keys' common beginning, for `loraLayerName()` and for messages. */
  readonly path: string;
  readonly change: WeightChange;
  /** Of the products that the change is made of; 1 where there is none. */
  readonly rank: number;
  /** The layer's weight changes by `alpha / rank` times the change; the rank where the file does not say. */
  readonly alpha: number;
  /** DoRA's lengths of the changed weight's rows `[M]`, or of its columns `[1, C, ...]`. */
  readonly magnitude?: WeightLocation;
}

const PAIRS = {
  lora: ["up", "down"],
  hada1: ["hada_w1_a", "hada_w1_b"],
  hada2: ["hada_w2_a", "hada_w2_b"],
  kron1: ["lokr_w1_a", "lokr_w1_b"],
  kron2: ["lokr_w2_a", "lokr_w2_b"],
} as const;

/** What a tensor is to its layer. */
export type Role =
  | "alpha"
  | "magnitude"
  | "lokr_w1"
  | "lokr_w2"
  | (typeof PAIRS)[keyof typeof PAIRS][number];

const ROLES: readonly (readonly [RegExp, Role | undefined])[] = [
  [
    /^(.+?)(?:\.lora_down|\.lora_A(?:\.\w+)?|[._]lora\.down|\.lora_linear_layer\.down)\.weight$/,
    "down",
  ],
  [/^(.+?)(?:\.lora_up|\.lora_B(?:\.\w+)?|[._]lora\.up|\.lora_linear_layer\.up)\.weight$/, "up"],
  [/^(.+?)(?:_lora)?\.alpha$/, "alpha"],
  [/^(.+?)\.(?:dora_scale|lora_magnitude_vector(?:\.\w+)*)$/, "magnitude"],
  [/^(.+?)\.(hada_w[12]_[ab]|lokr_w[12](?:_[ab])?)$/, undefined],
];

/** The layer's path and the role that a key names; `undefined` if it names none. */
export function roleOf(key: string): readonly [path: string, role: Role] | undefined {
  for (const [pattern, role] of ROLES) {
    const [, path, own] = pattern.exec(key) ?? [];
    if (path !== undefined) return [path, role ?? own as Role];
  }
  return undefined;
}

/** A layer's tensors, under the keys that they have in the file. */
export type LayerTensors = Partial<Record<Role, WeightLocation & { readonly key: string }>>;

/**
 * @param where the file, for messages
 * @returns what the layer changes; `undefined` if a tensor is there without those that belong to it
 * @throws {FormatError} if two factors have different ranks
 */
export function layerChange(
  tensors: LayerTensors,
  where: string,
): { readonly change: WeightChange; readonly rank: number } | undefined {
  const product = (name: keyof typeof PAIRS) => productOf(tensors, PAIRS[name], where);
  const count =
    Object.keys(tensors).filter((role) => role !== "alpha" && role !== "magnitude").length;
  const lora = product("lora");
  if (lora && count === 2) {
    return { change: { kind: "product", product: lora }, rank: rankOf(lora) };
  }
  const [first, second] = [product("hada1"), product("hada2")];
  if (first && second && count === 4) {
    return { change: { kind: "hadamard", factors: [first, second] }, rank: rankOf(second) };
  }
  const { lokr_w1, lokr_w2 } = tensors;
  const [kron1, kron2] = [product("kron1"), product("kron2")];
  const left: Factor | undefined = lokr_w1 ? { whole: lokr_w1 } : kron1;
  const right: Factor | undefined = lokr_w2 ? { whole: lokr_w2 } : kron2;
  if (left && right && count === (lokr_w1 ? 1 : 2) + (lokr_w2 ? 1 : 2)) {
    const inner = kron1 ?? kron2;
    return { change: { kind: "kronecker", left, right }, rank: inner ? rankOf(inner) : 1 };
  }
  return undefined;
}

function productOf(
  tensors: LayerTensors,
  [upRole, downRole]: readonly [Role, Role],
  where: string,
): Product | undefined {
  const [up, down] = [tensors[upRole], tensors[downRole]];
  if (!up || !down) return undefined;
  const rank = down.shape[0] ?? 0;
  if (rank < 1 || up.shape[1] !== rank) {
    throw new FormatError(
      `LoRA ${show(where)} must have one rank per layer: ${show(down.key)} is ` +
        `[${down.shape}], ${show(up.key)} is [${up.shape}]`,
    );
  }
  return { up: withoutKey(up), down: withoutKey(down) };
}

function withoutKey({ key: _, ...location }: WeightLocation & { readonly key: string }) {
  return location;
}

function rankOf({ down }: Product): number {
  return down.shape[0]!;
}

/** Which axis of a weight DoRA's lengths are for: those of columns come as `[1, C, ...]`. */
export function magnitudeAxis(lengths: Shape): 0 | 1 {
  return lengths.length > 1 && lengths[0] === 1 ? 1 : 0;
}

/** Outputs, and inputs times the pixels of a kernel, of the weight that a change belongs to. */
export function changedSize(change: WeightChange): readonly [outputs: number, inputs: number] {
  switch (change.kind) {
    case "product":
      return factorSize(change.product);
    case "hadamard": {
      const [first, second] = change.factors.map(factorSize) as [Size, Size];
      return first.join() === second.join() ? first : [NaN, NaN];
    }
    case "kronecker": {
      const [left, right] = [factorSize(change.left), factorSize(change.right)];
      return [left[0] * right[0], left[1] * right[1]];
    }
  }
}

type Size = readonly [number, number];

function factorSize(factor: Factor): Size {
  if ("whole" in factor) return matrixSize(factor.whole);
  return [matrixSize(factor.up)[0], matrixSize(factor.down)[1]];
}

function matrixSize({ shape: [rows = 1, ...others] }: WeightLocation): Size {
  return [rows, elementCount(others)];
}

/** The shapes that a message shows of a change. */
export function changeShapes(change: WeightChange): string {
  const factor = (f: Factor) =>
    "whole" in f ? `[${f.whole.shape}]` : `[${f.up.shape}] times [${f.down.shape}]`;
  switch (change.kind) {
    case "product":
      return factor(change.product);
    case "hadamard":
      return change.factors.map(factor).join(", each with ");
    case "kronecker":
      return `${factor(change.left)}, each with ${factor(change.right)}`;
  }
}
