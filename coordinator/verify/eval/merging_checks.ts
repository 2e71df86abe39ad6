/** Merges of whole checkpoints, and which block each of their keys belongs to. @module */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { type FloatDType, isFloat } from "../../../shared/tensor/float64.ts";
import { bytesOf, f32, type F32Tensor, toFloat32 } from "../../../shared/tensor/tensor.ts";
import { blockOfKey } from "../../../shared/merging/block_of_key.ts";
import { weightsForSdxl } from "../../../shared/merging/block_weights.ts";
import { MergedModel } from "../../../shared/merging/merged_model.ts";
import { FileModel, type MergeModel } from "../../../shared/merging/model.ts";
import type { WrittenParameters } from "../../../shared/merging/parameters.ts";
import { storedPieces } from "../../../shared/merging/stored_tensors.ts";
import type { Comparison, Skipped } from "../check.ts";
import type { EvalCheck, EvalFolder } from "./eval_folder.ts";
import { measure } from "./measure.ts";

/** @returns how a check of merging is run */
export async function mergingCheck(
  folder: EvalFolder,
  check: EvalCheck,
): Promise<Comparison[] | Skipped> {
  const { expect, inputs } = check;
  if (expect.blocks !== undefined) return await checkBlocks(folder, check);
  if (expect.weights !== undefined) {
    const weights = weightsForSdxl(inputs.weights as readonly number[]);
    const expected = await folder.f32(check, expect.weights);
    return [measure(check, "weights", f32([weights.length], weights), expected)];
  }
  const merge = mergeOf(inputs);
  return merge ? await checkMerge(folder, check, merge) : { skipped: "this is not built yet" };
}

interface Merge {
  readonly method: string;
  readonly parameters: WrittenParameters;
  /** Keys that A lacks are nothing that its merge is about: a difference cannot be added to nothing. */
  readonly addsDifference?: boolean;
}

/** A check's `mode` as users would write it; `undefined` if there is no such method. */
function mergeOf(inputs: EvalCheck["inputs"]): Merge | undefined {
  const numbers = (...names: readonly string[]): WrittenParameters =>
    Object.fromEntries(names.map((name) => [name, inputs[name] as number | number[]]));
  // BASE's weight in front, as in the text form.
  const row = (base: string, blocks: string) => [inputs[base], inputs[blocks]].flat() as number[];
  const merges: Readonly<Record<string, () => Merge>> = {
    weighted_sum: () => ({ method: "weighted-sum", parameters: numbers("alpha") }),
    sum_twice: () => ({ method: "sum-twice", parameters: numbers("alpha", "beta") }),
    triple_sum: () => ({ method: "triple-sum", parameters: numbers("alpha", "beta") }),
    weights: () => ({ method: "weights", parameters: numbers("weights") }),
    add_difference: () => ({
      method: "add-difference",
      parameters: numbers("alpha"),
      addsDifference: true,
    }),
    train_difference: () => ({
      method: "train-difference",
      parameters: numbers("alpha"),
      addsDifference: true,
    }),
    cosine_a: () => ({ method: "cosine-a", parameters: numbers("alpha") }),
    cosine_b: () => ({ method: "cosine-b", parameters: numbers("alpha") }),
    mbw: () => ({ method: "mbw", parameters: { mbw: row("base_alpha", "weights") } }),
    mbw_triple: () => ({
      method: "mbw",
      parameters: { mbw: [row("base_alpha", "alphas"), row("base_beta", "betas")] },
    }),
  };
  return merges[inputs.mode as string]?.();
}

/** Inputs that are models; their order in a check is that of the merge, where the first is A and the second B. */
const MODELS = ["a", "b", "c"];

async function checkMerge(
  folder: EvalFolder,
  check: EvalCheck,
  { method, parameters, addsDifference = false }: Merge,
): Promise<Comparison[]> {
  using stack = new DisposableStack();
  const models: FileModel[] = [];
  for (const [name, path] of Object.entries(check.inputs)) {
    if (!MODELS.includes(name)) continue;
    models.push(stack.use(await FileModel.open(folder.file(path as string))));
  }
  const merged = new MergedModel("merge", { method, models, parameters });
  const keys = [...merged.tensors.keys()]
    .filter((key) => !addsDifference || models[0]!.tensors.has(key));
  const dtype = DTYPES[check.expect.dtype!]!;
  const result: Result = {
    tensorOf: (key) => stored(merged, key, dtype),
    keys: keys.filter((key) => isFloat(merged.tensors.get(key)!.dtype)),
  };
  return [
    count(check, "keys", keys.length),
    ...await compareTensors(folder, check, result),
    ...compareHash(check, result),
    figure(check, "norm", Math.sqrt(sumOver(result.keys, (key) => norm2(result.tensorOf(key))))),
    figure(check, "distance_to_a", distance(result, models[0]!)),
    figure(check, "distance_to_b", distance(result, models[1]!)),
  ];
}

const DTYPES: Readonly<Record<string, FloatDType>> = { F32: "float32", F16: "float16" };

interface Result {
  /** As it is stored in the result's file, widened to f32. */
  readonly tensorOf: (key: string) => F32Tensor;
  /** Of floats. */
  readonly keys: readonly string[];
}

function stored(model: MergeModel, key: string, dtype: FloatDType): F32Tensor {
  const tensor = f32(model.tensors.get(key)!.shape);
  let filled = 0;
  for (const piece of storedPieces(model.tensor(key), dtype)) {
    tensor.data.set(toFloat32(piece).data, filled);
    filled += piece.data.length;
  }
  return tensor;
}

async function compareTensors(
  folder: EvalFolder,
  check: EvalCheck,
  { tensorOf }: Result,
): Promise<Comparison[]> {
  const file = await SafetensorsFile.open(folder.file(check.expect.tensors!));
  const expected = [...await file.readMany(file.entries.keys())];
  if (check.tolerance.ulp_f16 === undefined) {
    return expected.map(([key, tensor]) => measure(check, key, tensorOf(key), toFloat32(tensor)));
  }
  return expected.map(([key, tensor]) =>
    compareHalves(check, key, tensorOf(key), toFloat32(tensor))
  );
}

/** Few may differ, and by few units in the last place only. */
function compareHalves(
  { tolerance: { ulp_f16: units, differing } }: EvalCheck,
  key: string,
  actual: F32Tensor,
  expected: F32Tensor,
): Comparison {
  let [count, most] = [0, 0];
  actual.data.forEach((value, i) => {
    const distance = Math.abs(place(value) - place(expected.data[i]!));
    if (distance > 0) count++;
    most = Math.max(most, distance);
  });
  const isNear = most <= (units as number) && count <= (differing as number) * actual.data.length;
  return { tensor: key, relativeL2: isNear ? 0 : Infinity, maxAbs: most };
}

/** Where a half-precision number stands among all, in order. */
function place(value: number): number {
  const bits = new Uint16Array(new Float16Array([value]).buffer)[0]!;
  return bits & 0x8000 ? -(bits & 0x7fff) : bits;
}

/**
 * SHA-256 over all tensors in the order of their names, as f32. Where no definition gives the bits, the order of
 * operations does; another one may be right, too, so that then the figures decide.
 */
function compareHash({ expect, tolerance }: EvalCheck, { keys, tensorOf }: Result): Comparison[] {
  const hash = createHash("sha256");
  for (const key of keys.toSorted()) hash.update(bytesOf(tensorOf(key)));
  const isEqual = hash.digest("hex") === expect.sha256;
  if (!isEqual && tolerance.sha256 !== "required") return [];
  return [{ tensor: "sha256", relativeL2: isEqual ? 0 : Infinity, maxAbs: isEqual ? 0 : Infinity }];
}

/** Over the keys that both have. */
function distance({ keys, tensorOf }: Result, model: MergeModel): number {
  const shared = keys.filter((key) => model.tensors.has(key));
  return Math.sqrt(sumOver(shared, (key) => {
    const own = stored(model, key, "float32").data;
    return sumOver(tensorOf(key).data, (value, i) => (value - own[i]!) ** 2);
  }));
}

function norm2({ data }: F32Tensor): number {
  return sumOver(data, (value) => value * value);
}

function sumOver<T>(items: ArrayLike<T>, of: (item: T, index: number) => number): number {
  let sum = 0;
  for (let i = 0; i < items.length; i++) sum += of(items[i]!, i);
  return sum;
}

/** A single number, which has a tolerance of its own beside that of the tensors. */
function figure({ expect, tolerance }: EvalCheck, name: string, actual: number): Comparison {
  const expected = Number(expect[name]);
  const maxAbs = Math.abs(actual - expected);
  const relative = maxAbs === 0 ? 0 : maxAbs / Math.abs(expected);
  return {
    tensor: name,
    relativeL2: relative <= Number(tolerance.relative) ? 0 : relative,
    maxAbs,
  };
}

function count({ expect }: EvalCheck, name: string, actual: number): Comparison {
  const maxAbs = Math.abs(actual - Number(expect[name]));
  return { tensor: name, relativeL2: maxAbs === 0 ? 0 : Infinity, maxAbs };
}

async function checkBlocks(folder: EvalFolder, check: EvalCheck): Promise<Comparison[]> {
  const path = folder.file(check.expect.blocks!);
  const blocks = JSON.parse(await readFile(path, "utf8")) as Readonly<Record<string, string>>;
  const family = Object.values(blocks).includes("OUT11") ? "sd15" : "sdxl";
  const wrong = Object.entries(blocks).filter(([key, block]) => blockOfKey(key, family) !== block);
  const [key] = wrong[0] ?? [];
  return [{
    tensor: key ?? "blocks",
    relativeL2: wrong.length === 0 ? 0 : Infinity,
    maxAbs: wrong.length,
  }];
}
