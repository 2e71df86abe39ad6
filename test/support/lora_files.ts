/**
 * LoRAs for tests: layers with random factors, written in any naming, and the same layers merged into a copy of a
 * checkpoint in double precision.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { SafetensorsFile } from "../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../shared/safetensors/writer.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../shared/tensor/half.ts";
import {
  f32,
  type F32Tensor,
  type Shape,
  type Tensor,
  toFloat32,
} from "../../shared/tensor/tensor.ts";
import { randomTensor } from "./expert_inputs.ts";

export type Tensors = Record<string, Tensor>;

export interface TestLayer {
  /** Path of the layer with dots, diffusers names. */
  readonly path: string;
  readonly part: "unet" | "text_encoder" | "text_encoder_2";
  readonly down: F32Tensor;
  readonly up: F32Tensor;
  readonly alpha: number;
}

const FILES = {
  unet: "diffusion_pytorch_model.safetensors",
  text_encoder: "model.safetensors",
  text_encoder_2: "model.safetensors",
} as const;

/** A layer of random factors that fits a weight of the model. Convolutions get factors as kohya writes them. */
export async function randomLayer(
  model: string,
  part: TestLayer["part"],
  path: string,
  { rank = 2, alpha = 1, seed = 1 } = {},
): Promise<TestLayer> {
  const file = await SafetensorsFile.open(join(model, part, FILES[part]));
  const [outFeatures = 0, ...inFeatures] = file.entry(`${path}.weight`).shape;
  const ones = inFeatures.slice(1).map(() => 1);
  return {
    ...{ path, part, alpha },
    down: randomTensor([rank, ...inFeatures], seed),
    up: randomTensor([outFeatures, rank, ...ones], seed + 1000),
  };
}

/** kohya's naming. */
export function kohyaTensors(layers: readonly TestLayer[]): Tensors {
  const prefixes = { unet: "lora_unet_", text_encoder: "lora_te_", text_encoder_2: "lora_te2_" };
  return Object.fromEntries(layers.flatMap(({ part, path, down, up, alpha }) => {
    const name = prefixes[part] + path.replaceAll(".", "_");
    return [
      [`${name}.lora_down.weight`, down],
      [`${name}.lora_up.weight`, up],
      [`${name}.alpha`, f32([], [alpha])],
    ];
  }));
}

/** Values as a file of another dtype would hold them. */
export function castTensor(tensor: Tensor, dtype: "float16" | "bfloat16"): Tensor {
  const cast = dtype === "float16" ? float32ToFloat16 : float32ToBfloat16;
  return { dtype, shape: tensor.shape, data: cast(toFloat32(tensor).data) };
}

/** Writes a LoRA and returns its path. */
export async function writeLora(
  path: string,
  tensors: Tensors,
  metadata?: Readonly<Record<string, string>>,
): Promise<string> {
  await writeSafetensors(path, tensors, metadata);
  return path;
}

/** What becomes of one weight. */
export interface WeightEdit {
  readonly part: TestLayer["part"];
  /** Of the layer, with dots. */
  readonly path: string;
  readonly edit: (weight: Float64Array, shape: Shape) => Float64Array;
}

/**
 * Copies a diffusers folder to `target` with `weight alpha / r up down` added to the layers' weights, in f64. What is
 * stored is f32, as in the original.
 */
export async function writeMerged(
  model: string,
  target: string,
  changes: readonly (TestLayer & { readonly weight: number })[],
): Promise<string> {
  const edits = changes.map((change): WeightEdit => ({
    ...{ part: change.part, path: change.path },
    edit: (weight) => addProduct(weight, change),
  }));
  return await writeEdited(model, target, edits);
}

/** Copies a diffusers folder to `target` with weights edited in f64, one after the other, and stored in f32. */
export async function writeEdited(
  model: string,
  target: string,
  edits: readonly WeightEdit[],
): Promise<string> {
  const second = edits.some(({ part }) => part === "text_encoder_2")
    ? ["text_encoder_2"] as const
    : [];
  for (const part of ["unet", "text_encoder", ...second] as const) {
    const path = join(target, part, FILES[part]);
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.copyFile(join(model, part, "config.json"), join(target, part, "config.json"));
    const file = await SafetensorsFile.open(join(model, part, FILES[part]));
    const tensors = Object.fromEntries(await file.readMany(file.entries.keys()));
    const sums = new Map<string, Float64Array>();
    for (const { path, edit } of edits.filter((change) => change.part === part)) {
      const key = `${path}.weight`;
      const sum = sums.get(key) ?? Float64Array.from(toFloat32(tensors[key]!).data);
      sums.set(key, edit(sum, tensors[key]!.shape));
    }
    for (const [key, sum] of sums) {
      tensors[key] = f32(tensors[key]!.shape, Float32Array.from(sum));
    }
    await writeSafetensors(path, tensors);
  }
  return target;
}

/** `W + weight alpha / r up down`, by the definition. */
function addProduct(
  weights: Float64Array,
  { up, down, alpha, weight }: TestLayer & { readonly weight: number },
): Float64Array {
  const [outFeatures = 0, rank = 0] = up.shape;
  const width = down.data.length / rank;
  assert.equal(weights.length, outFeatures * width);
  return weights.map((value, index) => {
    const [row, column] = [Math.floor(index / width), index % width];
    let product = 0;
    for (let k = 0; k < rank; k++) {
      product += up.data[row * rank + k]! * down.data[k * width + column]!;
    }
    return value + weight * alpha / rank * product;
  });
}
