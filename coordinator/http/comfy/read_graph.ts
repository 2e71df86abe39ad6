/** From ComfyUI's graph of text to picture to what is to be drawn. Nodes that lead to no output count for nothing, as there. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { show } from "../../../shared/show.ts";
import type { JobSpec } from "../../jobs/job_spec.ts";
import { findSampler } from "../../sampling/samplers/find_sampler.ts";
import type { GivenSettings, SettingName } from "../../settings/settings.ts";
import { type FieldOf, readPrompt, readSetting, specOf } from "../runtime/job_request.ts";
import type { ServedEnsembles } from "../runtime/served_ensembles.ts";
import { ComfyGraph, type GraphNode, wrongInput } from "./comfy_graph.ts";
import { promptError } from "./comfy_error.ts";
import { SAMPLER_NAMES, SCHEDULER_NAMES } from "./comfy_nodes.ts";

export interface GraphRequest {
  readonly spec: JobSpec;
  /** Nodes that clients are told of. */
  readonly nodes: GraphNodes;
}

export interface GraphNodes {
  readonly sampler: string;
  readonly decoder: string;
  /** Those that get the pictures. */
  readonly outputs: readonly string[];
}

const OUTPUTS = ["SaveImage", "PreviewImage"];
const CHECKPOINT = "CheckpointLoaderSimple";
const CLIP = { [CHECKPOINT]: 1, CLIPSetLastLayer: 0 };

/** @throws {UsageError} of the node and input that are wrong, NOT_FOUND never: a checkpoint is an input, too */
export function readGraph(json: unknown, ensembles: ServedEnsembles): GraphRequest {
  const graph = new ComfyGraph(json);
  const outputs = graph.nodes.filter(({ classType }) => OUTPUTS.includes(classType));
  const [output] = outputs;
  if (!output) {
    throw promptError("prompt_no_outputs", `Prompt has no outputs: ${OUTPUTS.join(" or ")}`);
  }
  const decoders = outputs.map((node) => graph.follow(node, "images", { VAEDecode: 0 }));
  const [decoder] = decoders;
  const odd = outputs[decoders.findIndex((node) => node !== decoder)];
  if (odd) throw wrongInput(odd, "images", "invalid_input", "must be the pictures of one sampler");
  const sampler = graph.follow(decoder!, "samples", { KSampler: 0 });
  const checkpoint = graph.follow(sampler, "model", { [CHECKPOINT]: 0 });
  const latent = graph.follow(sampler, "latent_image", { EmptyLatentImage: 0 });
  const [positive, negative] = (["positive", "negative"] as const).map((input) =>
    graph.follow(sampler, input, { CLIPTextEncode: 0 })
  ) as [GraphNode, GraphNode];
  const vae = graph.follow(decoder!, "vae", { [CHECKPOINT]: 2 });
  if (vae !== checkpoint) throw wrongInput(decoder!, "vae", "invalid_input", SAME);
  const skips = [positive, negative].map((node) => clipSkipOf(graph, node, checkpoint));
  if (skips[0] !== skips[1]) {
    throw wrongInput(
      negative,
      "clip",
      "invalid_input",
      "must stop at the layer of the other prompt",
    );
  }
  const name = checkpoint.inputs.ckpt_name;
  const served = typeof name === "string" ? ensembles.find(name) : undefined;
  if (!served) {
    const names = ensembles.all.map(({ ensemble }) => ensemble.name);
    throw notInList(checkpoint, "ckpt_name", names);
  }
  const prompt = inWordsOf(positive, "text", () => readPrompt(positive.inputs.text, "text"));
  const settings: GivenSettings = {
    negative: read(negative, "text", "negative"),
    seed: read(sampler, "seed", "seed"),
    steps: read(sampler, "steps", "steps"),
    guidance: read(sampler, "cfg", "guidance"),
    batch: read(latent, "batch_size", "batch"),
    size: sizeOf(latent),
    sampler: findSampler(oneOf(sampler, "sampler_name", SAMPLER_NAMES)).name,
    schedule: read(sampler, "scheduler", "schedule"),
    ...(skips[0] !== undefined && { clipSkip: skips[0] }),
  };
  oneOf(sampler, "scheduler", SCHEDULER_NAMES);
  if (sampler.inputs.denoise !== undefined && sampler.inputs.denoise !== 1) {
    throw wrongInput(
      sampler,
      "denoise",
      "value_smaller_than_min",
      "must be 1: Tutti cannot draw from a picture yet",
    );
  }
  const spec = inWordsOf(sampler, "", () => specOf(served, { prompt, settings }, fieldOf));
  return {
    spec,
    nodes: { sampler: sampler.id, decoder: decoder!.id, outputs: outputs.map(({ id }) => id) },
  };
}

const SAME = "must come from the checkpoint that is sampled";
const FIELDS: Partial<Record<SettingName, string>> = {
  negative: "text",
  guidance: "cfg",
  batch: "batch_size",
  size: "width",
  sampler: "sampler_name",
  schedule: "scheduler",
};
const fieldOf: FieldOf = (setting) => FIELDS[setting] ?? setting;

/** As stable-diffusion-webui counts: -1 is 1. Undefined where the graph does not say. */
function clipSkipOf(graph: ComfyGraph, text: GraphNode, checkpoint: GraphNode): number | undefined {
  const node = graph.follow(text, "clip", CLIP);
  const loader = node.classType === CHECKPOINT
    ? node
    : graph.follow(node, "clip", { [CHECKPOINT]: 1 });
  if (loader !== checkpoint) throw wrongInput(text, "clip", "invalid_input", SAME);
  if (node === loader) return undefined;
  const layer = node.inputs.stop_at_clip_layer;
  return inWordsOf(
    node,
    "stop_at_clip_layer",
    () => readSetting("clipSkip", typeof layer === "number" ? -layer : layer, "stop_at_clip_layer"),
  );
}

function sizeOf(latent: GraphNode) {
  const { width, height } = latent.inputs;
  return inWordsOf(latent, "width", () => readSetting("size", { width, height }, "width"));
}

function read<K extends SettingName>(node: GraphNode, input: string, setting: K) {
  return inWordsOf(node, input, () => readSetting(setting, node.inputs[input], input));
}

function oneOf(node: GraphNode, input: string, values: readonly string[]): string {
  const found = values.find((each) => each === node.inputs[input]);
  if (found === undefined) throw notInList(node, input, values);
  return found;
}

function notInList(node: GraphNode, input: string, values: readonly string[]) {
  const current = show(node.inputs[input]);
  const text = `must be one of ${values.join(", ")}: current value is ${current}`;
  return wrongInput(node, input, "value_not_in_list", text);
}

/** What is wrong with a value is wrong with its node. */
function inWordsOf<T>(node: GraphNode, input: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TuttiError) || error.code !== "INVALID_ARGUMENT") throw error;
    const { message, details: { field = input } } = error;
    throw wrongInput(node, field, "invalid_input_type", message.replace(`"${field}" `, ""));
  }
}
