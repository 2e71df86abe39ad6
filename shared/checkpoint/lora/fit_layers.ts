/**
 * Which weight of a checkpoint each layer of a LoRA changes. All of them must find one, or the file is refused: a
 * LoRA that is applied in part draws something that no one made.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import { listKeys } from "../../models/weights.ts";
import { show } from "../../show.ts";
import { elementCount, type Shape } from "../../tensor/tensor.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { unetKeyMap } from "../keymaps/unet.ts";
import { checkLoraFamily, type NamedLayer } from "./lora_family.ts";
import type { LoraFile } from "./lora_file.ts";
import { changedSize, changeShapes, type LoraLayer, magnitudeAxis } from "./lora_layer.ts";
import { layerKeys, loraLayerName, type LoraPart, TRANSPOSED_KEY } from "./lora_keys.ts";

/** Per part: diffusers key of a weight -> the layer that changes it. */
export type FittedLayers = Readonly<Record<LoraPart, ReadonlyMap<string, LoraLayer>>>;

const PART_NAMES: Readonly<Record<LoraPart, string>> = {
  unet: "U-Net",
  text: "text encoder",
  text2: "second text encoder",
};

const PROBLEM_NAMES = { unknown: "unknown", misshaped: "mis-shaped", doubled: "named twice" };
type Problem = keyof typeof PROBLEM_NAMES;

/**
 * @throws {FormatError} if the LoRA is for another family, or listing the layers that have no weight here, or one of
 * another shape
 */
export function fitLayers(file: LoraFile, checkpoint: Checkpoint): FittedLayers {
  const { name: model, family, unet: { config } } = checkpoint;
  const ldmToDiffusers = unetKeyMap(config.layersPerBlock);
  const named = file.layers.map((layer): NamedLayer => [
    loraLayerName(layer.path, ldmToDiffusers),
    layer,
  ]);
  checkLoraFamily(file, named, { model, family, crossAttentionDim: config.crossAttentionDim });

  const fitted: Record<LoraPart, Map<string, LoraLayer>> = {
    unet: new Map(),
    text: new Map(),
    text2: new Map(),
  };
  const keys = {
    unet: layerKeys(checkpoint.unet.weights),
    text: layerKeys(checkpoint.text?.weights),
    text2: layerKeys(checkpoint.text2?.weights),
  };
  const problems: Record<Problem, string[]> = { unknown: [], misshaped: [], doubled: [] };
  for (const [{ part, name }, layer] of named) {
    const key = keys[part].get(name);
    if (key === undefined) {
      const why = checkpoint[part] ? "" : ` (the model has no ${PART_NAMES[part]})`;
      problems.unknown.push(layer.path + why);
      continue;
    }
    const weight = checkpoint[part]!.weights.get(key)!;
    if (!fits(layer, key === TRANSPOSED_KEY ? weight.shape.toReversed() : weight.shape)) {
      problems.misshaped.push(
        `${layer.path} of ${changeShapes(layer.change)} for ${key} [${weight.shape}]`,
      );
    }
    const twin = fitted[part].get(key);
    if (twin) problems.doubled.push(`${twin.path} and ${layer.path}`);
    fitted[part].set(key, layer);
  }
  refuse(file, model, problems);
  return fitted;
}

/** Whether a layer has a weight's shape; a 1x1 convolution and a matrix count as equal. */
function fits({ change, rank, magnitude }: LoraLayer, shape: Shape): boolean {
  const [outFeatures, ...inFeatures] = shape;
  if (magnitude && !fitsMagnitude(magnitude.shape, shape)) return false;
  if (change.kind !== "product") {
    return changedSize(change).join() === [outFeatures, elementCount(inFeatures)].join();
  }
  const { up, down } = change.product;
  const trimmed = (dims: readonly number[]) => dims.join().replace(/,1,1$/, "");
  return trimmed(up.shape) === `${outFeatures},${rank}` &&
    trimmed(down.shape) === trimmed([rank, ...inFeatures]);
}

/** One length per output `[M, ...ones]`, or per input `[1, C, ...ones]`. */
function fitsMagnitude(lengths: Shape, [outputs = 1, inputs = 1]: Shape): boolean {
  return elementCount(lengths) === (magnitudeAxis(lengths) === 0 ? outputs : inputs);
}

function refuse(
  file: LoraFile,
  model: string,
  problems: Readonly<Record<Problem, readonly string[]>>,
): void {
  const kinds = Object.keys(PROBLEM_NAMES) as Problem[];
  const lines = kinds.map((kind) => listKeys(PROBLEM_NAMES[kind], problems[kind]))
    .filter((line) => line !== "");
  if (lines.length === 0) return;
  throw new FormatError(`LoRA ${show(file.path)} does not fit "${model}": ${lines.join("; ")}`, {
    details: Object.fromEntries(
      Object.entries(problems).map(([kind, keys]) => [kind, String(keys.length)]),
    ),
  });
}
