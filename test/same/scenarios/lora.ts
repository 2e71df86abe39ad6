/** A LoRA on one of two experts, on attention of a down, the middle and an up block. @module */

import { kohyaTensors, randomLayer, writeLora } from "../../support/lora_files.ts";
import { zooPath } from "../../support/zoo.ts";
import type { Scenario } from "../scenario.ts";
import { PAIR, writeEnsemble } from "./ensemble_file.ts";
import { drawPicture } from "./one_picture.ts";
import { fewSteps } from "./ddim_flags.ts";

const ATTENTIONS = [
  "down_blocks.0.attentions.0",
  "mid_block.attentions.0",
  "up_blocks.2.attentions.1",
];

export const LORA: Scenario = {
  name: "lora",
  what: "one of two experts with a LoRA of weight 2",
  play: async ({ home }) => {
    const layers = await Promise.all(
      ATTENTIONS.map((path, seed) =>
        randomLayer(zooPath("round"), "unet", `${path}.transformer_blocks.0.attn2.to_out.0`, {
          seed,
        })
      ),
    );
    await writeLora(home.file("ink.safetensors"), kohyaTensors(layers));
    const ensemble = await writeEnsemble(home, PAIR);
    const lora = ["--lora", "round=ink.safetensors:2"];
    return await drawPicture(home, [...await fewSteps(home), "--ensemble", ensemble, ...lora]);
  },
};
