/**
 * `tutti.json` beside SABW's weights: which experts it was trained with, in their order, and which blocks it aggregates. The paper's code
 * does not write it: then nothing can be checked, and all blocks are aggregated.
 *
 * @module
 */

import { join } from "node:path";
import { FormatError } from "../../../../shared/errors.ts";
import { parseJson } from "../../../../shared/json_text.ts";
import { readRegularText } from "../../../../shared/regular_file.ts";
import type { AggregatedBlocks } from "../../aggregation_plan.ts";

export interface TrainedExpert {
  readonly name: string;
  /** As `ExpertDescription.modelHash`. */
  readonly modelHash: string;
  /** As `WeightsHashes.weightsHash`; absent in files of earlier versions. */
  readonly weightsHash?: string;
}

export interface SabwMetadata {
  /** Model-major order of SABW's inputs. */
  readonly experts: readonly TrainedExpert[];
  readonly aggregatedBlocks: AggregatedBlocks;
  /** How it was trained, for people. */
  readonly recipe: Readonly<Record<string, unknown>>;
}

const FILE = "tutti.json";
const FORMAT_VERSION = 1;

export async function writeSabwMetadata(
  folder: string,
  { experts, aggregatedBlocks, recipe }: SabwMetadata,
): Promise<void> {
  const json = {
    format_version: FORMAT_VERSION,
    experts: experts.map(({ name, modelHash, weightsHash }) => ({
      name,
      model_hash: modelHash,
      ...(weightsHash !== undefined && { weights_hash: weightsHash }),
    })),
    aggregated_blocks: aggregatedBlocks,
    recipe,
  };
  await Deno.writeTextFile(join(folder, FILE), `${JSON.stringify(json, null, 2)}\n`);
}

/**
 * @returns nothing if there is no such file
 * @throws {FormatError} if it is damaged or of a newer version
 */
export async function readSabwMetadata(folder: string): Promise<SabwMetadata | undefined> {
  const path = join(folder, FILE);
  let text: string;
  try {
    text = await readRegularText(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new FormatError(`Cannot read "${path}": ${(error as Error).message}`, { cause: error });
  }
  const json = parse(text);
  if (json?.format_version !== FORMAT_VERSION) {
    throw new FormatError(
      `"${path}" must be JSON with "format_version" ${FORMAT_VERSION}: current value is ${
        JSON.stringify(json?.format_version)
      }`,
    );
  }
  const { experts, aggregated_blocks: blocks, recipe } = json;
  if (!Array.isArray(experts) || !experts.every(isExpert)) {
    throw new FormatError(`"${path}": "experts" must be a list of {"name", "model_hash"}`);
  }
  if (blocks !== "all" && blocks !== "noise" && !isTexts(blocks)) {
    throw new FormatError(`"${path}": "aggregated_blocks" must be "all", "noise" or a list of ids`);
  }
  return {
    experts: experts.map(({ name, model_hash, weights_hash }) => ({
      ...{ name, modelHash: model_hash },
      ...(weights_hash !== undefined && { weightsHash: weights_hash }),
    })),
    aggregatedBlocks: blocks,
    recipe: typeof recipe === "object" && recipe !== null ? { ...recipe } : {},
  };
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return (parseJson(text) ?? undefined) as Record<string, unknown> | undefined;
  } catch {
    return undefined; // Told by the caller, with the path.
  }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

interface ExpertJson {
  readonly name: string;
  readonly model_hash: string;
  readonly weights_hash?: string;
}

function isExpert(value: unknown): value is ExpertJson {
  const { name, model_hash, weights_hash = "" } = (value ?? {}) as Record<string, unknown>;
  return [name, model_hash, weights_hash].every((field) => typeof field === "string");
}
