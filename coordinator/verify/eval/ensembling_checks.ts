/** Whole DDIM runs of every ensembling method on the goldens' experts. @module */

import { dirname, join } from "node:path";
import { exists } from "../../../shared/checkpoint/exists.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import type { ComputeOptions } from "../../../shared/engine/lower_graph.ts";
import { FormatError } from "../../../shared/errors.ts";
import { readRecipe } from "../../../shared/merging/recipe_file.ts";
import { f32, sliceRows, type Tensor } from "../../../shared/tensor/tensor.ts";
import { fusionMask, saliencyWeights } from "../../sampling/methods/magic_fusion.ts";
import type { TrainedSabw } from "../../sampling/methods/definition.ts";
import { createMethod } from "../../sampling/methods/methods.ts";
import { SabwAggregator } from "../../sampling/methods/sabw/sabw_aggregator.ts";
import { sample } from "../../sampling/sample.ts";
import { createSampler } from "../../sampling/samplers/samplers.ts";
import { readSchedulerConfig } from "../../sampling/samplers/scheduler_config.ts";
import type { NoisePrediction } from "../../sampling/guidance.ts";
import type { Comparison, Skipped } from "../check.ts";
import type { OpenExpert } from "../context.ts";
import { type FamilyManifest, readFamilyManifest } from "../manifest.ts";
import type { EvalCheck, EvalFolder } from "./eval_folder.ts";
import { measure, measureRows } from "./measure.ts";

/** Names that experts have in these checks' methods. */
const nameOf = (index: number) => `expert-${index}`;

export class EnsemblingChecks implements AsyncDisposable {
  readonly #folder: EvalFolder;
  readonly #lane: ComputeOptions;
  readonly #open: OpenExpert;
  readonly #experts = new Map<string, Promise<Expert>>();
  #sabw: TrainedSabw | undefined;
  #family: Promise<Family> | undefined;

  constructor(folder: EvalFolder, lane: ComputeOptions, open: OpenExpert) {
    this.#folder = folder;
    this.#lane = lane;
    this.#open = open;
  }

  async run(check: EvalCheck): Promise<Comparison[] | Skipped> {
    const folder = this.#folder;
    const text = methodOf(check);
    if (text === undefined) return { skipped: "this method is not built yet" };
    const paths = (check.inputs.experts as readonly string[]).map((path) => folder.file(path));
    const experts = isSoup(check)
      ? [await this.#soup(paths)]
      : await Promise.all(paths.map((path) => this.#expert(path)));
    const family = await this.#readFamily();
    const guidanceScale = check.inputs.guidance_scale as number;
    const init = await folder.f32(check, check.inputs.init);
    const [, , latentHeight = 0, latentWidth = 0] = init.shape;
    const method = createMethod(text, {
      experts: experts.map((_, i) => nameOf(i)),
      blocks: experts[0]!.description.blocks,
      sabw: /^(?:afa|last-block)/.test(text) ? await this.#openSabw(family, experts) : undefined,
      guidanceScale,
      sampler: { name: "ddim" },
      picture: { width: latentWidth, height: latentHeight, latentWidth, latentHeight },
    });
    const masks: (NoisePrediction[] | undefined)[] = [];
    const combineNoise = method.combineNoise && ((
      predictions: readonly NoisePrediction[],
      context: Parameters<NonNullable<typeof method.combineNoise>>[1],
    ) => {
      masks.push(predictions.length === experts.length ? [...predictions] : undefined);
      return method.combineNoise!(predictions, context);
    });
    const config = await readSchedulerConfig(join(family.folder, family.manifest.scheduler!));
    const steps = check.inputs.num_inference_steps as number;
    const run = sample({
      experts,
      method: combineNoise ? { ...method, combineNoise } : method,
      sampler: createSampler("ddim", { steps, config }),
      guidanceScale,
      initialLatents: init,
      promptIds: rowsOf(await folder.tensor(check, check.inputs.input_ids)),
      negativePromptIds: new Array(init.shape[0]!).fill(family.manifest.uncond_input_ids),
    });
    const latents = [init];
    for await (const step of run) latents.push(step.latents);
    const comparisons = measureRows(
      check,
      "latents",
      latents,
      await folder.f32(check, check.expect.latents),
    );
    if (check.expect.mask === undefined) return comparisons;
    return [...comparisons, ...await this.#compareMasks(check, masks)];
  }

  /** Weights of every step that fuses, and the expert chosen at each pixel: -1 where nothing is fused. */
  async #compareMasks(
    check: EvalCheck,
    steps: readonly (NoisePrediction[] | undefined)[],
  ): Promise<Comparison[]> {
    const { uncond, k, guidance_scale: guidanceScale } = check.inputs as {
      readonly uncond: "own" | "general";
      readonly k: readonly number[];
      readonly guidance_scale: number;
    };
    const options = { unconditional: uncond, general: 0, sharpness: k };
    const [masks, weights] = [
      await this.#folder.f32(check, check.expect.mask),
      await this.#folder.f32(check, check.expect.weights),
    ];
    return steps.flatMap((predictions, step) => {
      const expectedMask = sliceRows(masks, step, step + 1);
      const size = expectedMask.data.length;
      if (!predictions) {
        return [measure(check, "mask", f32([size], new Array(size).fill(-1)), expectedMask)];
      }
      const own = saliencyWeights(
        predictions as Required<NoisePrediction>[],
        guidanceScale,
        options,
      );
      const joined = f32([own.length, size], own.flatMap(({ data }) => [...data]));
      const mask = f32([size], [...fusionMask(own)]);
      return [
        measure(check, "mask", mask, expectedMask),
        measure(check, "weights", joined, sliceRows(weights, step, step + 1)),
      ];
    });
  }

  #expert(path: string): Promise<Expert> {
    let expert = this.#experts.get(path);
    if (!expert) this.#experts.set(path, expert = this.#open(path));
    return expert;
  }

  /** The mean of all experts' weights, as one expert. */
  async #soup(models: readonly string[]): Promise<Expert> {
    const key = models.join("+");
    let expert = this.#experts.get(key);
    const open = async () =>
      await this.#open(await readRecipe(`{ models = ${JSON.stringify(models)} }`));
    if (!expert) this.#experts.set(key, expert = open());
    return await expert;
  }

  async #openSabw(
    { folder, manifest }: Family,
    experts: readonly Expert[],
  ): Promise<TrainedSabw> {
    const shared = { ...experts[0]!.description, numExperts: experts.length };
    const aggregator = this.#sabw?.aggregator ??
      await SabwAggregator.open(join(folder, manifest.sabw!), shared, this.#lane);
    return this.#sabw ??= { aggregator, hash: "golden", aggregatedBlocks: "all" };
  }

  #readFamily(): Promise<Family> {
    return this.#family ??= findFamily(this.#folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sabw?.aggregator.close();
    const opened = await Promise.allSettled(this.#experts.values());
    await Promise.all(opened.map((end) => end.status === "fulfilled" && end.value.close()));
  }
}

/** The family whose experts are used. */
interface Family {
  readonly folder: string;
  readonly manifest: FamilyManifest;
}

/** @throws {FormatError} if no expert of the checks lies in a family's folder, beside a manifest */
async function findFamily(folder: EvalFolder): Promise<Family> {
  const checks = folder.checks.filter(({ part }) => part === "ensembling");
  const experts = checks.flatMap(({ inputs }) => inputs.experts as readonly string[]);
  for (const path of new Set(experts.map((expert) => dirname(folder.file(expert))))) {
    if (!await exists(join(path, "manifest.json"))) continue;
    return { folder: path, manifest: await readFamilyManifest(path) };
  }
  throw new FormatError(
    `An expert of the checks of "${folder.path}" must lie beside a manifest.json: current experts are ${
      [...new Set(experts)].join(", ")
    }`,
  );
}

/** Of one model that is made of the experts. */
function isSoup({ name }: Pick<EvalCheck, "name">): boolean {
  return name === "ensembling.uniform_soup";
}

/** A check's method as users would write it; `undefined` if there is none. */
function methodOf({ name, inputs }: EvalCheck): string | undefined {
  const kind = name.replace(/^ensembling\./, "");
  if (isSoup({ name }) || /^single_|^block_average$/.test(kind)) return "average";
  if (kind.startsWith("noise_average")) return "noise-average";
  if (kind.startsWith("one_hot_")) return `one-hot:${nameOf(inputs.one_hot as number)}`;
  if (kind === "afa") return "afa";
  if (kind === "fixed_block_weights") {
    const rows = inputs.weights as readonly (readonly number[])[];
    const ofExpert = rows[0]!.map((_, i) => `${nameOf(i)}=${rows.map((row) => row[i]).join("/")}`);
    return `weights:${ofExpert.join(",")}`;
  }
  if (kind === "last_block_only") return "last-block";
  if (kind.startsWith("timestep_switch")) {
    const schedule = inputs.schedule as readonly { from: number; expert: number }[];
    const parts = schedule.map(({ from, expert }) => `${nameOf(expert)}=${from}`);
    return `switch:by=timestep,${parts.join(",")}`;
  }
  if (!kind.startsWith("magic_fusion")) return undefined;
  const { uncond, k, merge_mode: mode, t0 } = inputs as Record<string, unknown>;
  const sharpness = (k as readonly number[]).map((value, i) => `${nameOf(i)}=${value}`);
  const window = mode === 1 ? [`after=${t0}`] : mode === 2 ? [`before=${t0}`] : [];
  return `magicfusion:${[`uncond=${uncond}`, ...sharpness, ...window].join(",")}`;
}

function rowsOf({ shape: [rows = 0, width = 0], data }: Tensor): number[][] {
  const ids = Array.from(data as ArrayLike<number | bigint>, Number);
  return Array.from({ length: rows }, (_, row) => ids.slice(row * width, (row + 1) * width));
}
