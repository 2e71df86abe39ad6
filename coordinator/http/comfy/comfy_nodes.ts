/** The nodes of ComfyUI that a graph may have here, as `/object_info` describes them. @module */

import { SAMPLERS } from "../../sampling/samplers/samplers.ts";
import { isSpacing, SCHEDULES } from "../../sampling/samplers/sigma_schedules.ts";
import { MAX_PIXELS, MAX_STEPS, PIXELS_PER_LATENT } from "../../settings/limits.ts";
import { MAX_PICTURES } from "../runtime/job_request.ts";
import type { ServedEnsembles } from "../runtime/served_ensembles.ts";

/** Snake-case names and aliases, which ComfyUI's are, of samplers that take any schedule, which ComfyUI's do. */
export const SAMPLER_NAMES: readonly string[] = [
  ...new Set(
    SAMPLERS.filter(({ schedules }) => schedules === "any")
      .flatMap(({ name, aliases }) => [name, ...aliases])
      .filter((name) => /^[a-z0-9_]+$/.test(name)),
  ),
];
export const SCHEDULER_NAMES: readonly string[] = SCHEDULES.map(({ name }) => name)
  .filter((name) => !isSpacing(name));

type Inputs = Readonly<Record<string, readonly unknown[]>>;

interface NodeForm {
  readonly title: string;
  readonly category: string;
  readonly inputs: Inputs;
  /** Types by name. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly isOutput?: boolean;
}

const TEXT = ["STRING", { multiline: true, dynamicPrompts: false }];
const SIDE = ["INT", {
  ...{ default: 512, min: PIXELS_PER_LATENT, max: MAX_PIXELS, step: PIXELS_PER_LATENT },
}];

function formsOf(ensembles: ServedEnsembles): Readonly<Record<string, NodeForm>> {
  const names = ensembles.all.map(({ ensemble }) => ensemble.name);
  const images = { images: ["IMAGE"] };
  return {
    CheckpointLoaderSimple: {
      ...{ title: "Load Checkpoint", category: "loaders", inputs: { ckpt_name: [names] } },
      outputs: { MODEL: "MODEL", CLIP: "CLIP", VAE: "VAE" },
    },
    CLIPTextEncode: {
      ...{ title: "CLIP Text Encode (Prompt)", category: "conditioning" },
      ...{ inputs: { text: TEXT, clip: ["CLIP"] }, outputs: { CONDITIONING: "CONDITIONING" } },
    },
    CLIPSetLastLayer: {
      ...{ title: "CLIP Set Last Layer", category: "conditioning" },
      inputs: {
        clip: ["CLIP"],
        stop_at_clip_layer: ["INT", { default: -1, min: -24, max: -1, step: 1 }],
      },
      outputs: { CLIP: "CLIP" },
    },
    EmptyLatentImage: {
      ...{ title: "Empty Latent Image", category: "latent", outputs: { LATENT: "LATENT" } },
      inputs: {
        width: SIDE,
        height: SIDE,
        batch_size: ["INT", { default: 1, min: 1, max: MAX_PICTURES }],
      },
    },
    KSampler: {
      ...{ title: "KSampler", category: "sampling", outputs: { LATENT: "LATENT" } },
      inputs: {
        model: ["MODEL"],
        seed: ["INT", { default: 0, min: 0, max: 2 ** 64 - 1 }],
        steps: ["INT", { default: 20, min: 1, max: MAX_STEPS }],
        cfg: ["FLOAT", { default: 8, min: 0, max: 100, step: 0.1, round: 0.01 }],
        sampler_name: [SAMPLER_NAMES],
        scheduler: [SCHEDULER_NAMES],
        positive: ["CONDITIONING"],
        negative: ["CONDITIONING"],
        latent_image: ["LATENT"],
        denoise: ["FLOAT", { default: 1, min: 1, max: 1, step: 0.01 }],
      },
    },
    VAEDecode: {
      ...{ title: "VAE Decode", category: "latent", outputs: { IMAGE: "IMAGE" } },
      inputs: { samples: ["LATENT"], vae: ["VAE"] },
    },
    SaveImage: {
      ...{ title: "Save Image", category: "image", outputs: {}, isOutput: true },
      inputs: { ...images, filename_prefix: ["STRING", { default: "ComfyUI" }] },
    },
    PreviewImage: {
      ...{ title: "Preview Image", category: "image", outputs: {}, isOutput: true, inputs: images },
    },
    // Clients ask what there is to load with them: nothing. Graphs that have them are refused.
    UNETLoader: {
      ...{ title: "Load Diffusion Model", category: "loaders", outputs: { MODEL: "MODEL" } },
      inputs: { unet_name: [[]], weight_dtype: [["default"]] },
    },
    VAELoader: {
      ...{ title: "Load VAE", category: "loaders", outputs: { VAE: "VAE" } },
      inputs: { vae_name: [[]] },
    },
  };
}

export function objectInfo(ensembles: ServedEnsembles): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(formsOf(ensembles)).map(([name, form]) => {
      const { title, category, inputs, outputs, isOutput = false } = form;
      return [name, {
        input: { required: inputs },
        input_order: { required: Object.keys(inputs) },
        output: Object.values(outputs),
        output_is_list: Object.keys(outputs).map(() => false),
        output_name: Object.keys(outputs),
        ...{ name, display_name: title, description: "", python_module: "nodes", category },
        output_node: isOutput,
      }];
    }),
  );
}
