/** Networks that judge pictures, tiny and with random weights, in the layouts that hubs have. */

import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { clipGraphs } from "../../coordinator/evaluation/networks/clip.ts";
import { readClipConfig } from "../../coordinator/evaluation/networks/clip_config.ts";
import { Weights } from "../../shared/models/weights.ts";
import { encodeSafetensors } from "../../shared/safetensors/writer.ts";
import { elementCount, f32 } from "../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";
import { goldenPath } from "./goldens.ts";

/** CLIP's own vocabulary in a model of few numbers, in transformers' layout. */
export async function writeTinyClip(folder: string, seed: number): Promise<void> {
  const tower = {
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  };
  const config = {
    projection_dim: 48,
    vision_config: { ...tower, image_size: 32, patch_size: 16 },
    text_config: { ...tower, vocab_size: 49408, max_position_embeddings: 77 },
  };
  await mkdir(folder, { recursive: true });
  const path = join(folder, "config.json");
  await writeFile(path, JSON.stringify(config));
  const weights = Weights.of(new Map());
  clipGraphs(await readClipConfig(path), weights);
  const generator = new TorchCpuGenerator(seed);
  const tensors = Object.fromEntries([...weights.demanded].map(([name, shape]) => {
    const { data } = generator.randn([elementCount(shape)]);
    return [name, f32(shape, data.map((value) => 0.3 * value))];
  }));
  tensors.logit_scale = f32([], [Math.log(100)]);
  await writeFile(join(folder, "model.safetensors"), encodeSafetensors(tensors));
}

/** The reference's tiny networks that need no vocabulary. */
export async function copyGoldenJudges(folder: string): Promise<void> {
  const network = (...path: string[]) => goldenPath("eval", "networks", ...path);
  await mkdir(join(folder, "dinov2"), { recursive: true });
  await Promise.all([
    copyFile(network("aesthetic", "model.safetensors"), join(folder, "aesthetic.safetensors")),
    copyFile(network("inception", "model.safetensors"), join(folder, "inception.safetensors")),
    ...["config.json", "model.safetensors"].map((name) =>
      copyFile(network("dinov2", name), join(folder, "dinov2", name))
    ),
  ]);
}
