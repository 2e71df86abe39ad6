/**
 * The published models as their keys and shapes (`test/goldens/keymaps`), and how many parameters a set of graphs asks
 * for. No weights are behind the tables: graphs are built without reading any.
 *
 * @module
 */

import type { WeightLocation, WeightTable } from "../../../shared/models/weights.ts";
import type { Graph } from "../../../shared/onnx/graph.ts";
import { type DType, DTYPES } from "../../../shared/tensor/dtype.ts";
import { byteLength, elementCount, type Shape } from "../../../shared/tensor/tensor.ts";
import { goldenPath } from "../../support/goldens.ts";

export interface KeyRow {
  readonly singleFileKey: string;
  readonly diffusersKey: string;
  /** In the single file. */
  readonly shape: Shape;
}

/** @param name `sd15_unet`, `sdxl_unet`, `kl_f8_vae` or `clip_l_text` */
export async function readKeyTable(name: string): Promise<KeyRow[]> {
  const text = await Deno.readTextFile(goldenPath("keymaps", `keymap_${name}.tsv`));
  return text.trim().split("\n").slice(1).map((line) => {
    const [singleFileKey = "", diffusersKey = "", shape = ""] = line.split("\t");
    return { singleFileKey, diffusersKey, shape: shape.split("x").map(Number) };
  });
}

/** A table of tensors that lie one after another in a file that does not exist. */
export function weightTable(
  tensors: Iterable<readonly [key: string, shape: Shape]>,
  dtype: DType = "float32",
): WeightTable {
  const table = new Map<string, WeightLocation>();
  let offset = 0;
  for (const [key, shape] of tensors) {
    const length = byteLength(dtype, shape);
    table.set(key, { dtype, shape, path: "/nowhere/model.safetensors", offset, length });
    offset += length;
  }
  return table;
}

/** `weightTable()` under diffusers names. */
export function diffusersTable(rows: readonly KeyRow[], dtype?: DType): WeightTable {
  return weightTable(rows.map(({ diffusersKey, shape }) => [diffusersKey, shape]), dtype);
}

/** Elements of all weights that the graphs refer to, each once however many graphs use it. */
export function parameterCount(graphs: readonly Graph[]): number {
  const counts = new Map<string, number>();
  for (const { initializers } of graphs) {
    for (const initializer of initializers) {
      if (!("external" in initializer)) continue;
      const { offset, length } = initializer.external;
      const count = elementCount(initializer.shape);
      if (count * DTYPES[initializer.dtype].bytes !== length) throw new Error(initializer.name);
      counts.set(`${offset}`, count);
    }
  }
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
