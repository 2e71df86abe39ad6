/** `tutti sample`: from a prompt to PNG files. @module */

import { Command } from "commander";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import { ShapeError, UsageError } from "../../shared/errors.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import { PROMPT_SYNTAXES, type PromptSyntax } from "../../shared/prompt/read_prompt.ts";
import { f32, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { type Ensemble, openEnsemble } from "../ensemble/ensemble.ts";
import { type EnsembleFlags, ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { collectExpertLora } from "../ensemble/lora_flags.ts";
import { writePng } from "../image/pixels.ts";
import { type AggregatedBlocks, aggregationPlan } from "../sampling/aggregation_plan.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";
import { initialLatents } from "../sampling/initial_latents.ts";
import { sample } from "../sampling/sample.ts";
import { DdimScheduler } from "../sampling/schedulers/ddim.ts";
import { blockChoice, finiteNumber, imageSize, oneOf, seed, wholeNumber } from "./flags.ts";
import { imageMetadata } from "./image_metadata.ts";
import { onInterrupt } from "./interrupt.ts";
import { AttentionMaps, readLatents, writeLatents } from "./latents_file.ts";
import { outputPaths } from "./output_paths.ts";
import { promptRows } from "./prompt_rows.ts";
import { SampleStats } from "./sample_stats.ts";
import {
  PlaneFallbacks,
  planeOption,
  type TransportFlags,
  transportOptions,
  wireDtypeOption,
} from "./transport_flags.ts";

export interface SampleFlags extends EnsembleFlags, DeviceFlags, TransportFlags {
  readonly aggregate?: AggregatedBlocks;
  readonly force: boolean;
  readonly negative: string;
  readonly promptSyntax: PromptSyntax;
  readonly clipSkip: number;
  readonly steps: number;
  readonly guidance: number;
  readonly seed?: bigint;
  readonly size?: { readonly width: number; readonly height: number };
  readonly batch?: number;
  readonly waves?: number;
  readonly out: string;
  readonly initLatents?: string;
  readonly saveLatents?: string;
  readonly saveMaps?: string;
  readonly stats: boolean;
  readonly json: boolean;
}

const EXAMPLES = `
Examples:
  tutti sample "a green heart above a yellow square on a plain black background"
  tutti sample "a castle at dawn" --ensemble castles.toml --steps 30 --seed 7 --batch 4 --out pictures
  tutti sample "a castle at dawn" --workers gpu-1:7070,gpu-2:7070 --vae models/vae
  tutti sample "a (castle:1.2) at dawn, [people]" --clip-skip 2
  tutti sample "a castle in ink" --ensemble castles.toml --lora photo=loras/ink.safetensors:0.8
  tutti sample "a red circle" --stats --json`;

export function sampleCommand(): Command {
  return new Command("sample")
    .summary("draw an image with an ensemble")
    .description(
      "Draws images. Without --ensemble and --workers it starts workers on this machine for the experts that come with Tutti.",
    )
    .argument("<prompt>", "what to draw")
    .option("--ensemble <file>", "ensemble file (TOML)")
    .option(
      "--workers <addresses>",
      "running workers, HOST:PORT,HOST:PORT; their order is the experts' order",
    )
    .option(
      "--sabw <folder>",
      'trained aggregators, or "uniform" for plain averaging (default: the ensemble\'s)',
    )
    .option(
      "--aggregate <blocks>",
      "blocks after which the experts' features become one: all, noise (the last one only), or ids as IN04,M00 (default: what SABW was trained for, else all)",
      blockChoice("--aggregate"),
    )
    .option("--force", "use aggregators that were trained with other experts", false)
    .option("--negative <prompt>", "what not to draw", "")
    .option(
      "--prompt-syntax <name>",
      'a1111: (more), [less], (this:1.3), BREAK, prompts of any length, as in stable-diffusion-webui; "plain": all is text, and what is too long is cut',
      oneOf("--prompt-syntax", PROMPT_SYNTAXES),
      "a1111",
    )
    .option(
      "--clip-skip <n>",
      "text encoder layer to take, counted from the end as in stable-diffusion-webui: 1 is the last, 2 the last but one (clip_skip=1 in diffusers); SDXL always takes the last but one",
      wholeNumber("--clip-skip"),
      1,
    )
    .option("--steps <n>", "denoising steps", wholeNumber("--steps"), 50)
    .option(
      "--guidance <scale>",
      "classifier-free guidance; 1 turns it off",
      finiteNumber("--guidance"),
      7.5,
    )
    .option(
      "--seed <n>",
      "seed of the first image, the next ones count up (default: random)",
      seed("--seed"),
    )
    .option(
      "--size <pixels>",
      "512, or 768x512 as width x height (default: the experts' own)",
      imageSize("--size"),
    )
    .option("--batch <n>", "images (default: 1)", wholeNumber("--batch"))
    .option(
      "--waves <n>",
      "parts of a step that travel on their own, at most one per image and guidance half: while one is on its way, another is computed (default: 2 if a worker is on another host, else 1)",
      wholeNumber("--waves"),
    )
    .option("--out <path>", "a .png file, or a folder", "out")
    .option("--vae <path>", "VAE: folder or single file (default: the ensemble's)")
    .option(
      "--tokenizer <folder>",
      "tokenizer (default: the ensemble's, else one beside a model or in the Hugging Face cache)",
    )
    .option(
      "--init-latents <file>",
      "start from these unit Gaussian latents (safetensors) instead of a seed",
    )
    .option("--save-latents <file>", "write the final latents (safetensors)")
    .option("--save-maps <file>", "write SABW's attention maps of every step (safetensors)")
    .option(
      "--lora <expert=file:weight>",
      "merge a LoRA into an expert whose worker this command starts; several times for several",
      collectExpertLora,
    )
    .addOption(deviceOption("what computes VAE and SABW, and the workers that this command starts"))
    .addOption(precisionOption("workers that this command starts compute"))
    .addOption(planeOption())
    .addOption(wireDtypeOption())
    .option("--stats", "print where the time went, per block", false)
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((prompt: string, flags: SampleFlags) => runSample(prompt, flags));
}

async function runSample(prompt: string, flags: SampleFlags): Promise<void> {
  const start = performance.now();
  const terminal = stderrTerminal();
  const note = (text: string) => flags.json || terminal.write(`${text}\n`);
  const warn = (text: string) => terminal.write(`warning: ${text}\n`);
  const fallbacks = new PlaneFallbacks(warn);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  refuseContradictions(flags);
  const plan = await ensemblePlan(flags);
  if (flags.saveMaps !== undefined && plan.sabw.kind === "uniform") {
    throw new UsageError(
      "--save-maps needs trained aggregators (--sabw FOLDER): plain averaging has no maps",
    );
  }
  const { device, explanation } = await chooseDevice(flags.device);
  if (explanation !== undefined) note(explanation);
  await using ensemble = await openEnsemble(plan, {
    signal,
    device,
    precision: flags.precision,
    takesAnySabw: flags.force,
    transport: transportOptions(flags, fallbacks),
    onProgress: note,
  });
  for (const warning of ensemble.warnings) warn(warning);

  const rows = promptRows(ensemble, prompt, flags, warn);
  const { latents: noise, seeds } = await startingNoise(ensemble, flags);
  const [batch = 0, , height = 0, width = 0] = noise.shape;
  const { factor } = ensemble.vae;
  const scheduler = new DdimScheduler(flags.steps, {
    ...ensemble.schedulerConfig,
    predictionType: ensemble.experts[0]!.description.predictionType,
  });
  const aggregatedBlocks = flags.aggregate ?? ensemble.aggregatedBlocks;
  const stats = new SampleStats();
  const maps = new AttentionMaps();
  const onSegment = (report: SegmentReport) => {
    stats.add(report);
    if (flags.saveMaps !== undefined) maps.add(report);
  };
  const [, secondTokenizer] = ensemble.tokenizers;
  const steps = sample({
    experts: ensemble.experts,
    aggregator: ensemble.aggregator,
    plan: aggregationPlan(ensemble.experts[0]!.description.blocks, aggregatedBlocks),
    scheduler,
    guidanceScale: flags.guidance,
    initialLatents: noise,
    promptIds: new Array(batch).fill(rows.prompt),
    negativePromptIds: new Array(batch).fill(rows.negative),
    clipSkip: flags.clipSkip,
    waves: flags.waves ?? defaultWaves(ensemble.members),
    imageSize: { height: height * factor, width: width * factor },
    isNegativeGiven: flags.negative !== "",
    ...(secondTokenizer && { secondPadId: secondTokenizer.padTokenId }),
    onSegment,
    signal,
  });
  const sampling = performance.now();
  let latents: F32Tensor = noise;
  {
    using progress = new Progress({
      label: "Sampling",
      total: flags.steps,
      terminal,
      now: () => performance.now(),
      isSilent: flags.json,
    });
    for await (const step of steps) {
      latents = step.latents;
      progress.update(step.stepIndex + 1);
    }
  }
  const samplingMs = performance.now() - sampling;

  const images = await ensemble.vae.decode(latents);
  const paths = await outputPaths(flags.out, seeds);
  const size = { width: width * factor, height: height * factor };
  for (const [index, path] of paths.entries()) {
    const facts = {
      prompt,
      negativePrompt: flags.negative,
      promptSyntax: flags.promptSyntax,
      clipSkip: flags.clipSkip,
      steps: flags.steps,
      guidanceScale: flags.guidance,
      seed: seeds[index]!,
      aggregatedBlocks,
      ...size,
    };
    await writePng(path, imageAt(images, index), imageMetadata(ensemble, facts));
  }
  if (flags.saveLatents !== undefined) await writeLatents(flags.saveLatents, latents);
  if (flags.saveMaps !== undefined) {
    const experts = JSON.stringify(ensemble.members.map(({ name }) => name));
    await maps.write(flags.saveMaps, { experts, timesteps: JSON.stringify(scheduler.timesteps) });
  }
  const elapsedMs = performance.now() - start;
  if (flags.json) {
    printJson({
      images: paths.map((path, index) => ({ path, seed: seeds[index], ...size })),
      elapsedMs,
      samplingMs,
      steps: flags.steps,
      ...(flags.stats && {
        stats: stats.blocks(),
        planes: stats.planes(),
        fallbacks: fallbacks.list(),
      }),
    });
    return;
  }
  if (flags.stats) {
    const planes = stats.planes().map((plane, i) => `${ensemble.members[i]!.name} ${plane}`);
    printLine(`Means of ${flags.steps} steps:\n${stats.format()}`);
    printLine(`Planes: ${planes.join(", ")}\n`);
  }
  note(`Sampled in ${formatDuration(samplingMs)}, all in ${formatDuration(elapsedMs)}`);
  for (const [index, path] of paths.entries()) printLine(`${path} (seed ${seeds[index]})`);
}

/** A file of latents already says how many images there are, and how large. */
function refuseContradictions({ initLatents, size, batch }: SampleFlags): void {
  for (const [flag, value] of Object.entries({ "--size": size, "--batch": batch })) {
    if (initLatents !== undefined && value !== undefined) {
      throw new UsageError(`${flag} and --init-latents contradict each other: leave one out`);
    }
  }
}

/** A wire is worth hiding behind another wave's computing; on one host there is next to nothing to hide. */
function defaultWaves(members: Ensemble["members"]): number {
  return members.some(({ isElsewhere }) => isElsewhere) ? 2 : 1;
}

/** Unit Gaussian latents, from a file or from seeds; in any case one seed per image to name it by. */
async function startingNoise(
  { experts, vae }: Ensemble,
  flags: SampleFlags,
): Promise<{ latents: F32Tensor; seeds: bigint[] }> {
  const { latentChannels, sampleSize } = experts[0]!.description;
  if (flags.initLatents !== undefined) {
    const latents = await readLatents(flags.initLatents, latentChannels);
    return { latents, seeds: seedsFrom(flags.seed ?? 0n, latents.shape[0]!) };
  }
  const size = flags.size ?? { width: sampleSize * vae.factor, height: sampleSize * vae.factor };
  for (const [axis, pixels] of Object.entries(size)) {
    if (pixels < vae.factor || pixels % vae.factor !== 0) {
      const near = Math.max(1, Math.round(pixels / vae.factor)) * vae.factor;
      throw new UsageError(
        `--size must be a multiple of ${vae.factor}: current ${axis} is ${pixels}; ${near} is the nearest`,
      );
    }
  }
  const seeds = seedsFrom(flags.seed ?? randomSeed(), flags.batch ?? 1);
  const shape = [latentChannels, size.height / vae.factor, size.width / vae.factor];
  return { latents: initialLatents(seeds, shape), seeds };
}

function seedsFrom(first: bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => BigInt.asUintN(64, first + BigInt(i)));
}

/** Below 2^32, as other tools draw them. */
function randomSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!);
}

/** One image of a batch, f32 `[3, H, W]`. */
function imageAt(images: F32Tensor, index: number): F32Tensor {
  const [count = 0, ...shape] = images.shape;
  if (index >= count) throw new ShapeError(`A batch of ${count} images has no image ${index}`);
  const size = images.data.length / count;
  return f32(shape, images.data.subarray(index * size, (index + 1) * size));
}
