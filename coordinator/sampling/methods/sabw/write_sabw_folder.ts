/** Writes SABW in the layout of the paper's code: what `sabw_folder.ts` reads. @module */

import { join } from "node:path";
import { type SabwConfig, sabwConfigJson } from "../../../../shared/models/config/sabw_config.ts";
import { sabwParameters } from "../../../../shared/models/parameters.ts";
import { streamSafetensors } from "../../../../shared/safetensors/writer.ts";
import type { DType } from "../../../../shared/tensor/dtype.ts";
import type { Shape, Tensor } from "../../../../shared/tensor/tensor.ts";

/** What weights are stored as; they are computed with in f32. */
export type SabwDType = Extract<DType, "float32" | "float16">;

export interface AggregatorToWrite {
  readonly config: SabwConfig;
  /** The values of a tensor in order, in pieces of the folder's dtype. */
  readonly piecesOf: (key: string, shape: Shape) => Iterable<Tensor>;
}

/**
 * @param folder is made if it does not exist
 * @param aggregators of all blocks, in block order
 */
export async function writeSabwFolder(
  folder: string,
  numExperts: number,
  aggregators: readonly AggregatorToWrite[],
  dtype: SabwDType = "float32",
): Promise<void> {
  await writeJson(join(folder, "model_config.json"), {
    num_models: numExperts,
    num_aggregators: aggregators.length,
  });
  for (const [j, { config, piecesOf }] of aggregators.entries()) {
    const path = join(folder, `aggregator_${j}`);
    await writeJson(join(path, "config.json"), sabwConfigJson(config));
    const specs = [...sabwParameters(config)]
      .map(([name, shape]) => ({ name, dtype, shape }));
    await streamSafetensors(
      join(path, "aggregator.safetensors"),
      specs,
      ({ name, shape }) => piecesOf(name, shape),
    );
  }
}

async function writeJson(path: string, json: unknown): Promise<void> {
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify(json));
}
