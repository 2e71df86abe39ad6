/** What all stages of a zoo have in common. @module */

import { join } from "node:path";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import type { ClipTokenizer } from "../../../shared/tokenizer/clip_tokenizer.ts";
import { type ModelPart, modelParts } from "../model_parts.ts";
import type { Stage, ZooRecipe } from "./recipe.ts";

export interface StageContext {
  readonly recipe: ZooRecipe;
  /** The zoo's folder. */
  readonly out: string;
  readonly tokenizer: ClipTokenizer;
  readonly compute: ComputeOptions;
  readonly signal?: AbortSignal;
}

/** What a stage tells while it goes on. */
export type StageEvent =
  | {
    readonly event: "prepare";
    readonly what: string;
    readonly done: number;
    readonly total: number;
  }
  | {
    readonly event: "step";
    readonly step: number;
    readonly steps: number;
    readonly loss: number;
  };

/** What a stage's result is worth, by name. */
export type Quality = Readonly<Record<string, number>>;

export interface StageResult {
  readonly losses: readonly number[];
  readonly quality: Quality;
}

/** Where a stage's checkpoints, curve and report are. */
export function runFolder({ out }: Pick<StageContext, "out">, stage: Stage): string {
  return join(out, "runs", stage);
}

export type PartName = "unet" | "text_encoder" | "vae";

/** A part of the zoo's models by its folder. */
export function partOf({ configs }: Pick<ZooRecipe, "configs">, name: PartName): ModelPart {
  return modelParts(configs).find(({ folder }) => folder === name)!;
}
