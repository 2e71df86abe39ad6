/**
 * A LoRA file as pairs of matrices, whatever its keys are called: `down [r, in...]`, `up [out, r...]` and a strength
 * alpha per layer. Nothing but the alphas is read here.
 *
 * @module
 */

import { FormatError } from "../../errors.ts";
import { FLOATS, listKeys, type WeightLocation } from "../../models/weights.ts";
import { show } from "../../show.ts";
import { elementCount, toFloat32 } from "../../tensor/tensor.ts";
import { openWeightFile, weightFileName } from "../../weight_file/open_weight_file.ts";
import type { TensorFile } from "../../weight_file/tensor_file.ts";
import { weightLocation } from "../weight_files.ts";
import { refuseOtherKinds } from "./lora_kinds.ts";
import { peftAlpha, type PeftSettings, readPeftSettings } from "./peft_settings.ts";

export interface LoraLayer {
  /** The keys' common beginning, for `loraLayerName()` and for messages. */
  readonly path: string;
  /** `[r, in]`, or `[r, in, k, k]` for a convolution. */
  readonly down: WeightLocation;
  /** `[out, r]`, or `[out, r, 1, 1]` for a convolution. */
  readonly up: WeightLocation;
  readonly rank: number;
  /** The layer's weight changes by `alpha / rank` times `up down`. */
  readonly alpha: number;
}

export interface LoraFile {
  readonly path: string;
  /** The file's name without its ending. */
  readonly name: string;
  readonly layers: readonly LoraLayer[];
  readonly metadata: Readonly<Record<string, string>>;
  /** First byte of the tensors; 0 where they are not in one piece. */
  readonly dataStart: number;
}

type Role = "down" | "up" | "alpha";

const ROLES: readonly (readonly [RegExp, Role])[] = [
  [
    /^(.+?)(?:\.lora_down|\.lora_A(?:\.\w+)?|[._]lora\.down|\.lora_linear_layer\.down)\.weight$/,
    "down",
  ],
  [/^(.+?)(?:\.lora_up|\.lora_B(?:\.\w+)?|[._]lora\.up|\.lora_linear_layer\.up)\.weight$/, "up"],
  [/^(.+?)(?:_lora)?\.alpha$/, "alpha"],
];

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
    const [layerPath, role] = roleOf(key);
    if (layerPath === undefined) unknown.push(key);
    else {
      const roles = paths.get(layerPath) ?? {};
      if (roles[role] !== undefined) {
        throw new FormatError(
          `LoRA ${show(path)} must have one ${role} tensor per layer: ` +
            `${show(roles[role])} and ${show(key)} are for the same`,
        );
      }
      paths.set(layerPath, { ...roles, [role]: key });
    }
  }
  const complete = [...paths.values()].filter(({ down, up }) => down !== undefined && up);
  if (complete.length === 0) {
    throw new FormatError(
      `File ${show(path)} must be a LoRA, with pairs of keys that end in "lora_down.weight" and ` +
        `"lora_up.weight" or in "lora_A.weight" and "lora_B.weight": ${
          listKeys("current", [...file.entries.keys()]) || "it is empty"
        }`,
    );
  }
  const halves = [...paths.values()].filter(({ down, up }) => down === undefined || !up);
  const problems = [
    listKeys("unknown", unknown),
    listKeys("without their other half", halves.flatMap((roles) => Object.values(roles))),
  ].filter((line) => line !== "");
  if (problems.length > 0) {
    throw new FormatError(`LoRA ${show(path)} has keys that mean nothing: ${problems.join("; ")}`);
  }
  const realPath = await Deno.realPath(path);
  const alphas = await readAlphas(file, [...paths.values()].flatMap(({ alpha }) => alpha ?? []));
  const peft = readPeftSettings(file.metadata, path);
  const layers = [...paths].map(([layerPath, { down, up, alpha }]) =>
    layer(file, realPath, layerPath, [down!, up!], alphas.get(alpha ?? ""), peft)
  );
  return {
    path,
    name: weightFileName(path),
    layers,
    metadata: file.metadata,
    dataStart: file.dataStart,
  };
}

function roleOf(key: string): readonly [string, Role] | readonly [undefined, undefined] {
  for (const [pattern, role] of ROLES) {
    const match = pattern.exec(key);
    if (match) return [match[1]!, role];
  }
  return [undefined, undefined];
}

function layer(
  file: TensorFile,
  realPath: string,
  path: string,
  [downKey, upKey]: readonly [string, string],
  alpha: number | undefined,
  peft: PeftSettings,
): LoraLayer {
  const [down, up] = [downKey, upKey].map((key) => location(file, realPath, key)) as [
    WeightLocation,
    WeightLocation,
  ];
  const rank = down.shape[0] ?? 0;
  if (rank < 1 || up.shape[1] !== rank) {
    throw new FormatError(
      `LoRA ${show(file.path)} must have one rank per layer: ${show(downKey)} is ` +
        `[${down.shape}], ${show(upKey)} is [${up.shape}]`,
    );
  }
  return { path, down, up, rank, alpha: alpha ?? peftAlpha(peft, path, rank) };
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
