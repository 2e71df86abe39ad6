/** Trained models as folders of the diffusers layout, and their weights back as f32. @module */

import { join } from "node:path";
import { SafetensorsFile } from "../../../shared/safetensors/reader.ts";
import { writeSafetensors } from "../../../shared/safetensors/writer.ts";
import { float32ToFloat16 } from "../../../shared/tensor/half.ts";
import {
  type F32Tensor,
  makeTensor,
  type Tensor,
  toFloat32,
} from "../../../shared/tensor/tensor.ts";
import { writeWholeFolder } from "../../training/whole_folder.ts";
import type { ModelPart } from "../model_parts.ts";

/** A part and its weights, by diffusers key. */
export interface TrainedPart {
  readonly part: ModelPart;
  /** Where it goes in the model's folder. */
  readonly folder: string;
  readonly weights: ReadonlyMap<string, F32Tensor>;
}

/** In f16, as the bundled models; the folder is there whole or not at all. */
export async function writeModel(path: string, parts: readonly TrainedPart[]): Promise<void> {
  await writeWholeFolder(path, async (inside) => {
    for (const { part: { config, file }, folder, weights } of parts) {
      const target = join(inside, folder);
      await Deno.mkdir(target, { recursive: true });
      await Deno.writeTextFile(join(target, "config.json"), `${JSON.stringify(config, null, 1)}\n`);
      const tensors: Record<string, Tensor> = {};
      for (const [key, { shape, data }] of weights) {
        tensors[key] = makeTensor("float16", shape, float32ToFloat16(data));
      }
      await writeSafetensors(join(target, file), tensors);
    }
  });
}

/** All weights of a part that lies in `folder`. */
export async function readWeights(
  folder: string,
  { file }: ModelPart,
): Promise<ReadonlyMap<string, F32Tensor>> {
  const weights = await SafetensorsFile.open(join(folder, file));
  const tensors = await weights.readMany(weights.entries.keys());
  return new Map([...tensors].map(([key, tensor]) => [key, toFloat32(tensor)]));
}

/** `{a: x}` -> `{prefix.a: x}` */
export function withPrefix(
  prefix: string,
  weights: ReadonlyMap<string, F32Tensor>,
): ReadonlyMap<string, F32Tensor> {
  return new Map([...weights].map(([key, tensor]) => [`${prefix}.${key}`, tensor]));
}

/** Those that begin with the prefix, without it. */
export function withoutPrefix(
  prefix: string,
  weights: ReadonlyMap<string, F32Tensor>,
): ReadonlyMap<string, F32Tensor> {
  return new Map(
    [...weights].flatMap(([key, tensor]) =>
      key.startsWith(`${prefix}.`) ? [[key.slice(prefix.length + 1), tensor] as const] : []
    ),
  );
}
