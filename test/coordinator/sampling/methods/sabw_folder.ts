/**
 * SABW folders made from the reference one: other weights, other numbers of experts.
 *
 * @module
 */

import { writeSafetensors } from "../../../../shared/safetensors/writer.ts";
import { f32, type Tensor } from "../../../../shared/tensor/tensor.ts";
import { readAll } from "../../../shared/checkpoint/rewrite.ts";
import type { TempFolder } from "../../../support/temp_folder.ts";
import { SABW_FOLDER } from "../golden_ensemble.ts";

type Json = Record<string, unknown>;

export interface SabwChanges {
  readonly model?: Json;
  readonly config?: Json;
  /** How many aggregators are written, from the first; all 25 unless given. */
  readonly count?: number;
  tensors?(tensors: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
}

/** Writes the aggregators below `name`, changed; returns the folder's path. */
export async function writeSabw(
  temp: TempFolder,
  name: string,
  { model = {}, config = {}, count = 25, tensors = (same) => same }: SabwChanges,
): Promise<string> {
  const merge = async (file: string, changes: Json) => {
    const json = { ...JSON.parse(await Deno.readTextFile(`${SABW_FOLDER}/${file}`)), ...changes };
    await Deno.writeTextFile(temp.join(name, file), JSON.stringify(json));
  };
  await Deno.mkdir(temp.join(name));
  await merge("model_config.json", model);
  for (let j = 0; j < count; j++) {
    const folder = `aggregator_${j}`;
    await Deno.mkdir(temp.join(name, folder));
    await merge(`${folder}/config.json`, config);
    const file = `${folder}/aggregator.safetensors`;
    await writeSafetensors(temp.join(name, file), tensors(await readAll(`${SABW_FOLDER}/${file}`)));
  }
  return temp.join(name);
}

/** An untrained SABW, as the paper's code initialises it: `conv_out` is zero. */
export const ZERO_CONV_OUT: SabwChanges = {
  tensors: (all) => ({ ...all, "conv_out.weight": f32(all["conv_out.weight"]!.shape) }),
};

/** SABW for one expert: the weights of the first of two. */
export const FIRST_EXPERT_ONLY: SabwChanges = {
  model: { num_models: 1 },
  config: { num_experts: 1 },
  tensors: (all) => {
    const [convIn, convOut] = [all["conv_in.weight"]!, all["conv_out.weight"]!];
    const [width = 0, channels = 0] = convIn.shape;
    const perExpert = channels / 2;
    const kept = Array.from(
      { length: width * perExpert },
      (_, i) => Number(convIn.data[Math.floor(i / perExpert) * channels + i % perExpert]),
    );
    const row = Array.from({ length: width }, (_, i) => Number(convOut.data[i]));
    return {
      ...all,
      "conv_in.weight": f32([width, perExpert, 1, 1], kept),
      "conv_out.weight": f32([1, width, 1, 1], row),
    };
  },
};
