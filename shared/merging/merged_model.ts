/**
 * The result of a merge as a model: it knows its keys, dtypes and shapes at once, and computes a tensor when somebody
 * goes through it. So a merge can be the input of another one without a file in between.
 *
 * Which keys merge is supermerger's rule: those that contain "model", and "weight" or "bias", and that all models have.
 * All others are the first model's (position ids, schedules, `logit_scale`), and keys with "model" that it lacks come
 * from the first model that has them.
 *
 * @module
 */

import { FAMILIES, type Family } from "../models/families.ts";
import type { PredictionType } from "../checkpoint/prediction_type.ts";
import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import { type FloatDType, isFloat, widerFloat } from "../tensor/float64.ts";
import { formatType } from "../tensor/tensor.ts";
import { blockOfKey } from "./block_of_key.ts";
import { findMethod } from "./methods/merge_methods.ts";
import type { MergeMethod, ValueRange } from "./methods/method.ts";
import type { MergeModel, TensorType } from "./model.ts";
import { ParameterError } from "./parameter_error.ts";
import { resolveParameters, type WrittenParameters } from "./parameters.ts";
import type { Values } from "./values.ts";

/** How many tensors of a merge came about in which way. */
export interface MergeCounts {
  /** Computed from all models. */
  readonly merged: number;
  /** The first model's own. */
  readonly kept: number;
  /** Another model's own. */
  readonly copied: number;
}

/** Of a method that has no survey. */
const NO_RANGE: ValueRange = { min: -Infinity, max: Infinity };

export interface MergedModelParts {
  /** A name in `MERGE_METHODS`. */
  readonly method: string;
  readonly models: readonly MergeModel[];
  readonly parameters: WrittenParameters;
}

export class MergedModel implements MergeModel {
  readonly name: string;
  readonly family: Family;
  readonly predictionType: PredictionType;
  readonly tensors: ReadonlyMap<string, TensorType>;
  readonly counts: MergeCounts;
  readonly methodName: string;
  readonly models: readonly MergeModel[];
  readonly #method: MergeMethod;
  readonly #parametersOf: ReturnType<typeof resolveParameters>;
  #range: ValueRange | undefined;
  /** Whose tensor a key's is; keys that merge are not here. */
  readonly #owners: ReadonlyMap<string, MergeModel>;

  /**
   * @param name for messages
   * @throws {ParameterError} if there is no such method, or it does not take so many models or these parameters
   * @throws {FormatError} if the models do not fit each other
   */
  constructor(name: string, { method: methodName, models, parameters }: MergedModelParts) {
    const method = findMethod(methodName);
    checkCount(method, models.length);
    const [first] = models as readonly [MergeModel];
    for (const other of models) checkKin(first, other);
    this.name = name;
    this.family = first.family;
    this.predictionType = first.predictionType;
    this.methodName = methodName;
    this.#method = method;
    this.models = models;
    this.#parametersOf = resolveParameters(method, parameters, {
      models: models.length,
      family: this.family,
    });
    const { tensors, owners } = planKeys(models, method);
    this.tensors = tensors;
    this.#owners = owners;
    this.counts = countKeys(tensors, owners, first);
    // Numbers that differ between blocks are checked where they are used: before anything is written.
    for (const key of tensors.keys()) {
      if (!owners.has(key)) this.numbersOf(blockOfKey(key, this.family));
    }
  }

  tensor(key: string): Values {
    const owner = this.#owners.get(key);
    if (owner) return owner.tensor(key);
    return this.#method.merge(
      this.#operands(key),
      this.numbersOf(blockOfKey(key, this.family)),
      this.#range ??= this.#method.survey?.(this.#allOperands()) ?? NO_RANGE,
    );
  }

  #operands(key: string): Values[] {
    return this.models.map((model) => model.tensor(key));
  }

  *#allOperands(): Generator<readonly Values[]> {
    for (const key of this.tensors.keys()) if (!this.#owners.has(key)) yield this.#operands(key);
  }

  /**
   * What the method's function gets for the tensors of a block.
   *
   * @param block one of `mergeBlocks()`, or `BASE`
   */
  numbersOf(block: string): Parameters<MergeMethod["merge"]>[1] {
    return this.#parametersOf(block) as Parameters<MergeMethod["merge"]>[1];
  }
}

function checkCount({ models: { min, max } }: MergeMethod, count: number): void {
  if (count >= min && count <= max) return;
  const expected = min === max ? String(min) : `${min} or more`;
  throw new ParameterError(
    "models",
    `must be ${expected} for this method: current count is ${count}`,
  );
}

function checkKin(first: MergeModel, other: MergeModel): void {
  const differ = (what: string, one: string, two: string) =>
    new FormatError(
      `Models must ${what} to be merged: ${show(first.name)} is ${one}, ${
        show(other.name)
      } is ${two}`,
    );
  if (first.family !== other.family) {
    throw differ("be of one family", FAMILIES[first.family].name, FAMILIES[other.family].name);
  }
  if (first.predictionType !== other.predictionType) {
    throw differ("predict the same", first.predictionType, other.predictionType);
  }
}

function planKeys(models: readonly MergeModel[], method: MergeMethod) {
  const [first, ...others] = models as readonly [MergeModel, ...MergeModel[]];
  const tensors = new Map<string, TensorType>();
  const owners = new Map<string, MergeModel>();
  for (const [key, type] of first.tensors) {
    const merged = isMergedByName(key) && !method.keeps?.(key)
      ? mergedType(key, models)
      : undefined;
    tensors.set(key, merged ?? type);
    if (!merged) owners.set(key, first);
  }
  for (const model of others) {
    for (const [key, type] of model.tensors) {
      if (tensors.has(key) || !key.includes("model")) continue;
      tensors.set(key, type);
      owners.set(key, model);
    }
  }
  if (owners.size === tensors.size) {
    throw new FormatError(
      `Models must share keys to be merged: ${
        models.map(({ name }) => show(name)).join(", ")
      } have none in common`,
    );
  }
  return { tensors, owners };
}

function isMergedByName(key: string): boolean {
  return key.includes("model") && (key.includes("weight") || key.includes("bias"));
}

/** The widest dtype; `undefined` if a model has no such key, or integers there. */
function mergedType(key: string, models: readonly MergeModel[]): TensorType | undefined {
  const types = models.map((model) => model.tensors.get(key));
  if (!types.every((type) => type !== undefined && isFloat(type.dtype))) return undefined;
  const first = types[0]!;
  types.forEach((type, i) => {
    if (type!.shape.join() === first.shape.join()) return;
    throw new FormatError(
      `Tensor ${show(key)} must have the same shape in all models: ` +
        `it is ${formatType(first.dtype, first.shape)} in ${show(models[0]!.name)}, ` +
        `${formatType(type!.dtype, type!.shape)} in ${show(models[i]!.name)}`,
      { details: { tensor: key } },
    );
  });
  const dtype = types.map((type) => type!.dtype as FloatDType).reduce(widerFloat);
  return { dtype, shape: first.shape };
}

function countKeys(
  tensors: ReadonlyMap<string, TensorType>,
  owners: ReadonlyMap<string, MergeModel>,
  first: MergeModel,
): MergeCounts {
  const kept = [...owners.values()].filter((owner) => owner === first).length;
  return { merged: tensors.size - owners.size, kept, copied: owners.size - kept };
}
