/**
 * A LoRA file as layers, whatever its keys are called: what each changes, and a strength alpha. Nothing but the alphas is
 * read here.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import type { WeightChange } from "../../models/composed_update.ts";
import { FLOATS, listKeys, type WeightLocation } from "../../models/weights.ts";
import { show } from "../../show.ts";
import { elementCount, toFloat32 } from "../../tensor/tensor.ts";
import { openWeightFile, weightFileName } from "../../weight_file/open_weight_file.ts";
import type { TensorFile } from "../../weight_file/tensor_file.ts";
import { weightLocation } from "../weight_files.ts";
import { layerChange, type LayerTensors, type LoraLayer, type Role, roleOf } from "./lora_layer.ts";
import { refuseOtherKinds } from "./lora_kinds.ts";
import { peftAlpha, readPeftSettings } from "./peft_settings.ts";

export interface LoraFile {
  readonly path: string;
  /** The file's name without its ending. */
  readonly name: string;
  readonly layers: readonly LoraLayer[];
  readonly metadata: Readonly<Record<string, string>>;
  /** First byte of the tensors; 0 where they are not in one piece. */
  readonly dataStart: number;
}

/**
 * Reads a LoRA's header and its alphas.
 *
 * @throws {FormatError} if the file is damaged, no LoRA or one of another kind, or a layer is incomplete
 */
export async function readLoraFile(path: string): Promise<LoraFile> {
  const file = await openWeightFile(path);
  refuseOtherKinds(path, file.entries.keys());
  const paths = new Map<string, Partial<Record<Role, string>>>();
  const unknown: string[] = [];
  for (const key of file.entries.keys()) {
    const found = roleOf(key);
    if (!found) {
      unknown.push(key);
      continue;
    }
    const [layerPath, role] = found;
    const roles = paths.get(layerPath) ?? {};
    if (roles[role] !== undefined) {
      throw new FormatError(
        `LoRA ${show(path)} must have one ${role} tensor per layer: ` +
          `${show(roles[role])} and ${show(key)} are for the same`,
      );
    }
    paths.set(layerPath, { ...roles, [role]: key });
  }
  const realPath = await Deno.realPath(path);
  const layers = new Map<string, ReturnType<typeof layerChange>>();
  for (const [layerPath, roles] of paths) {
    layers.set(layerPath, layerChange(tensorsOf(file, realPath, roles), path));
  }
  const halves = [...paths].filter(([layerPath]) => !layers.get(layerPath));
  if (halves.length === paths.size) {
    throw new FormatError(
      `File ${show(path)} must be a LoRA, with pairs of keys that end in "lora_down.weight" and ` +
        `"lora_up.weight" or in "lora_A.weight" and "lora_B.weight": ${
          listKeys("current", [...file.entries.keys()]) || "it is empty"
        }`,
    );
  }
  const problems = [
    listKeys("unknown", unknown),
    listKeys("without their other half", halves.flatMap(([, roles]) => Object.values(roles))),
  ].filter((line) => line !== "");
  if (problems.length > 0) {
    throw new FormatError(`LoRA ${show(path)} has keys that mean nothing: ${problems.join("; ")}`);
  }
  const alphas = await readAlphas(file, [...paths.values()].flatMap(({ alpha }) => alpha ?? []));
  const peft = readPeftSettings(file.metadata, path);
  return {
    path,
    name: weightFileName(path),
    layers: [...paths].map(([layerPath, { alpha, magnitude }]) => {
      const { change, rank } = layers.get(layerPath)!;
      return {
        ...{ path: layerPath, change, rank },
        alpha: strengthOf(change, rank, alphas.get(alpha ?? "")) ??
          peftAlpha(peft, layerPath, rank),
        ...(magnitude !== undefined && { magnitude: location(file, realPath, magnitude) }),
      };
    }),
    metadata: file.metadata,
    dataStart: file.dataStart,
  };
}

/** A Kronecker product of two whole matrices has no rank, and its alpha means nothing (LyCORIS). */
function strengthOf(
  change: WeightChange,
  rank: number,
  alpha: number | undefined,
): number | undefined {
  if (change.kind !== "kronecker") return alpha;
  return "whole" in change.left && "whole" in change.right ? rank : alpha;
}

function tensorsOf(
  file: TensorFile,
  realPath: string,
  roles: Partial<Record<Role, string>>,
): LayerTensors {
  const tensors: LayerTensors = {};
  for (const [role, key] of Object.entries(roles) as [Role, string][]) {
    if (role !== "alpha") tensors[role] = { ...location(file, realPath, key), key };
  }
  return tensors;
}

function location(file: TensorFile, realPath: string, key: string): WeightLocation {
  const entry = file.entry(key);
  const { dtype } = entry;
  if (!FLOATS.includes(dtype)) {
    throw new FormatError(
      `LoRA ${show(file.path)}: ${show(key)} must be of ${
        FLOATS.join(", ")
      }: current type is ${dtype}`,
    );
  }
  return weightLocation(entry, realPath);
}

/** Key -> value of the tensors that hold one number. */
async function readAlphas(
  file: TensorFile,
  keys: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  for (const key of keys) {
    const { shape } = file.entry(key);
    if (elementCount(shape) !== 1) {
      throw new FormatError(
        `LoRA ${show(file.path)}: ${show(key)} must be one number: current shape is [${shape}]`,
      );
    }
  }
  const alphas = new Map<string, number>();
  for (const [key, tensor] of await file.readMany(keys)) {
    const alpha = toFloat32(tensor).data[0]!;
    if (!Number.isFinite(alpha)) {
      throw new FormatError(
        `LoRA ${show(file.path)}: ${show(key)} must be finite: current value is ${alpha}`,
      );
    }
    alphas.set(key, alpha);
  }
  return alphas;
}
