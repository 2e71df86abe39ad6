/** `tutti sample`: from a prompt to PNG files. @module */

import { Command } from "commander";
import { exists } from "../../shared/checkpoint/exists.ts";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import { UsageError } from "../../shared/errors.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { addNatsOptions } from "../../shared/nats/nats_flags.ts";
import { shortenHelp } from "../../shared/terminal/grouped_help.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { parseWireDtypes } from "../cluster/tensor_transport.ts";
import { type Ensemble, openEnsemble } from "../ensemble/ensemble.ts";
import { type EnsembleFlags, ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { collectExpertLora } from "../ensemble/lora_flags.ts";
import { FileCheckpoint } from "../jobs/checkpoint_store.ts";
import { flagRefusal } from "../jobs/flag_refusal.ts";
import { type JobSpec, newJob } from "../jobs/job_spec.ts";
import { checkOut, outputPaths } from "../jobs/output_paths.ts";
import { type DrawnImages, type JobRun, runJob } from "../jobs/run_job.ts";
import type { StepCheckpoint } from "../jobs/step_checkpoint.ts";
import { readPictureRecord } from "../jobs/picture_record.ts";
import { storeImages } from "../jobs/store_images.ts";
import { defaultMethod, fittingMethod, methodFiles } from "../sampling/methods/methods.ts";
import { readMasks } from "../sampling/methods/regions/mask.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";
import { chooseSettings } from "../settings/choose_settings.ts";
import { firstGiven } from "../settings/presets.ts";
import { SETTINGS, type Settings } from "../settings/settings.ts";
import { onInterrupt } from "./interrupt.ts";
import {
  addJobOptions,
  commonFlags,
  givenSettings,
  type JobFlags,
  seedsFrom,
} from "./job_options.ts";
import { AttentionMaps, readLatents, writeLatents } from "./latents_file.ts";
import { SampleStats } from "./sample_stats.ts";
import { hedgeOption, parkOption, type ReplicaFlags, ReplicaReport } from "./replica_flags.ts";
import {
  PlaneFallbacks,
  planeOption,
  type TransportFlags,
  transportOptions,
} from "./transport_flags.ts";
import { patienceOf, type WaitFlags, waitOption } from "./wait_option.ts";

export interface SampleFlags extends EnsembleFlags, DeviceFlags, JobFlags, ReplicaFlags, WaitFlags {
  readonly plane: TransportFlags["plane"];
  readonly force: boolean;
  readonly out: string;
  readonly from?: string;
  readonly initLatents?: string;
  readonly saveLatents?: string;
  readonly saveMaps?: string;
  readonly checkpoint?: string;
  readonly resume: boolean;
  readonly stats: boolean;
  readonly json: boolean;
}

/** Those of the short help, beside settings. */
const COMMON_FLAGS = [
  "--preset",
  "--out",
  "--ensemble",
  "--workers",
  "--sabw",
  "--lora",
  "--device",
];

const EXAMPLES = `
Examples:
  tutti sample "a green heart above a yellow square on a plain black background"
  tutti sample "a castle at dawn" --ensemble castles.toml --steps 30 --seed 7 --batch 4 --out pictures
  tutti sample "a castle at dawn" --workers gpu-1:7070,gpu-2:7070 --vae models/vae
  tutti sample "a castle at dawn" --nats nats://nats:4222 --experts photo,anime --vae models/vae
  tutti sample "a castle at dawn" --workers gpu-1:7070+gpu-3:7070,gpu-2:7070 --vae models/vae
  tutti sample "a castle at dawn" --ensemble castles.toml --preset fast
  tutti sample "a (castle:1.2) at dawn, [people]" --clip-skip 2
  tutti sample "a castle in ink" --ensemble castles.toml --lora photo=loras/ink.safetensors:0.8
  tutti sample "a castle in ink" --steps 200 --seed 7 --checkpoint castle.ckpt   # killed? Then:
  tutti sample "a castle in ink" --steps 200 --seed 7 --checkpoint castle.ckpt --resume
  tutti sample --from pictures/castle.png --method average   # the same picture by another method
  tutti sample "a red circle" --stats --json`;

export function sampleCommand(): Command {
  const command = addNatsOptions(
    new Command("sample")
      .summary("draw an image with an ensemble")
      .description(
        "Draws images. Without --ensemble, --workers and --experts it starts workers on this machine for the experts that come with Tutti.",
      )
      .argument("[prompt]", "what to draw; needed unless --from has it")
      .optionsGroup(headingOf("Experts"))
      .option("--ensemble <file>", "ensemble file (TOML)")
      .option(
        "--workers <addresses>",
        "running workers, HOST:PORT,HOST:PORT; their order is the experts' order; + joins workers of one expert",
      )
      .option(
        "--experts <names>",
        "models by the names that their workers have: NAME,NAME; with --nats, which finds the workers",
      ),
    "find workers over NATS",
  )
    .option(
      "--sabw <folder>",
      'trained aggregators, or "uniform" for plain averaging (default: the ensemble\'s)',
    )
    .option("--force", "use aggregators that were trained with other experts", false);
  addJobOptions(command)
    .optionsGroup(headingOf("Basics"))
    .option("--out <path>", "a .png file, or a folder", "out")
    .option("--from <picture>", "draw a picture of tutti sample again; flags change what it says")
    .optionsGroup(headingOf("Experts"))
    .option("--vae <path>", "VAE: folder or single file (default: the ensemble's)")
    .option(
      "--tokenizer <folder>",
      "tokenizer (default: the ensemble's, else one beside a model or in the Hugging Face cache)",
    )
    .optionsGroup(headingOf("Files"))
    .option(
      "--init-latents <file>",
      "start from these unit Gaussian latents (safetensors) instead of a seed",
    )
    .option("--save-latents <file>", "write the final latents (safetensors)")
    .option("--save-maps <file>", "write SABW's attention maps of every step (safetensors)")
    .optionsGroup(headingOf("Experts"))
    .option(
      "--lora <expert=file:weight>",
      "merge a LoRA into an expert whose worker this command starts; several times for several",
      collectExpertLora,
    )
    .addOption(deviceOption("what computes VAE and SABW, and the workers that this command starts"))
    .addOption(precisionOption("workers that this command starts compute"))
    .addOption(planeOption())
    .addOption(waitOption())
    .optionsGroup(headingOf("Files"))
    .option(
      "--checkpoint <file>",
      "keep each step in this file until the images are there, so that a run that was killed can go on",
    )
    .option(
      "--resume",
      "go on after the step in the --checkpoint file, to the same bits; without such a file start anew",
      false,
    )
    .addOption(parkOption())
    .addOption(hedgeOption())
    .optionsGroup(headingOf("Reports"))
    .option("--stats", "print where the time went, per block", false)
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((prompt: string | undefined, flags: SampleFlags) => runSample(prompt, flags));
  return shortenHelp(command, [...commonFlags(), ...COMMON_FLAGS]);
}

async function runSample(words: string | undefined, flags: SampleFlags): Promise<void> {
  const start = performance.now();
  const terminal = stderrTerminal();
  const note = (text: string) => flags.json || terminal.write(`${text}\n`);
  const warn = (text: string) => terminal.write(`warning: ${text}\n`);
  const fallbacks = new PlaneFallbacks(warn);
  const replicas = new ReplicaReport(warn);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  refuseContradictions(flags);
  const picture = flags.from === undefined ? undefined : await readPictureRecord(flags.from);
  const prompt = words ?? picture?.prompt;
  if (prompt === undefined) throw new UsageError("missing required argument 'prompt'");
  const plan = await ensemblePlan(flags);
  const given = firstGiven(givenSettings(flags), picture?.settings ?? {});
  const { settings, origins } = chooseSettings(SETTINGS, { given, defaults: plan.defaults });
  const nats = await natsOptions(flags, "tutti sample");
  const hasSabw = plan.sabw.kind === "trained";
  const methodText = settings.method ?? defaultMethod(hasSabw);
  const method = fittingMethod(methodText, {
    hasSabw,
    guidanceScale: settings.guidance,
    sampler: { name: settings.sampler, eta: settings.eta },
    aggregated: settings.aggregate,
  });
  if (flags.saveMaps !== undefined && !method.usesSabw) {
    throw new UsageError(
      "--save-maps needs a method that weighs pixels with trained aggregators (--sabw FOLDER, --method afa): others have no maps",
    );
  }
  const masks = await readMasks(methodFiles(methodText));
  const checkpoints = flags.checkpoint === undefined
    ? undefined
    : new FileCheckpoint(flags.checkpoint);
  const from = await findCheckpoint(flags, checkpoints, note);
  await checkOut(flags.out, "image or folder");
  const { device, explanation } = await chooseDevice(flags.device);
  if (explanation !== undefined) note(explanation);
  const wireDtype = parseWireDtypes(settings.wireDtype);
  await using ensemble = await openEnsemble(plan, {
    signal,
    device,
    precision: flags.precision,
    takesAnySabw: flags.force,
    mayDiffer: true,
    transport: transportOptions({ plane: flags.plane, wireDtype }, fallbacks),
    ...(nats && { nats }),
    replicas: { parkMs: flags.park * 1000, hedge: flags.hedge, onEvent: replicas.add },
    onProgress: note,
  }).catch((error) => {
    throw error instanceof UsageError ? flagRefusal(error, origins) : error;
  });
  for (const warning of ensemble.warnings) warn(warning);

  const noise = await readNoise(ensemble, flags);
  const seeds = seedsOf(settings, from, noise);
  const spec = newJob({ prompt, seeds, ensemble: ensemble.name }, settings);
  const stats = new SampleStats();
  const maps = new AttentionMaps();
  const drawn = await draw({
    ...{ ensemble, spec, origins, masks, warn, note, signal },
    ...(noise && { noise }),
    ...(from && { from }),
    ...(picture && { drawnBefore: picture.conditions }),
    ...(checkpoints && { checkpoints }),
    patience: patienceOf(flags, note, signal),
    onSegment: (report: SegmentReport) => {
      stats.add(report);
      if (flags.saveMaps !== undefined) maps.add(report);
    },
  }, flags.json);
  const paths = await outputPaths(flags.out, spec.seeds);
  await storeImages(ensemble, drawn, paths);
  try {
    await saveTensors(flags, ensemble, drawn, maps);
    await checkpoints?.remove();
  } finally {
    // What is there is told of, even where another file cannot be written.
    printDrawn(flags, {
      ...{ ensemble, drawn, paths, stats, fallbacks, replicas, note },
      ...(from && { resumedAfterStep: from.stepIndex + 1 }),
      elapsedMs: performance.now() - start,
    });
  }
}

interface Drawn {
  readonly ensemble: Ensemble;
  readonly drawn: DrawnImages;
  /** One per image. */
  readonly paths: readonly string[];
  readonly resumedAfterStep?: number;
  readonly elapsedMs: number;
  readonly stats: SampleStats;
  readonly fallbacks: PlaneFallbacks;
  readonly replicas: ReplicaReport;
  readonly note: (text: string) => void;
}

function printDrawn(flags: SampleFlags, run: Drawn): void {
  const { ensemble, drawn: { samplingMs, facts }, paths, resumedAfterStep, elapsedMs } = run;
  const { stats, fallbacks, replicas, note } = run;
  const { steps } = facts[0]!.spec;
  if (flags.json) {
    printJson({
      images: paths.map((path, index) => {
        const { seed, width, height } = facts[index]!;
        return { path, seed, width, height };
      }),
      elapsedMs,
      samplingMs,
      steps,
      ...(resumedAfterStep !== undefined && { resumedAfterStep }),
      ...(flags.stats && {
        stats: stats.blocks(),
        planes: stats.planes(),
        fallbacks: fallbacks.list(),
        replicas: replicas.stats(),
      }),
    });
    return;
  }
  if (flags.stats) {
    const planes = stats.planes().map((plane, i) => `${ensemble.members[i]!.name} ${plane}`);
    printLine(`Means of ${steps - (resumedAfterStep ?? 0)} steps:\n${stats.format()}`);
    printLine(`Planes: ${planes.join(", ")}\n`);
  }
  note(`Sampled in ${formatDuration(samplingMs)}, all in ${formatDuration(elapsedMs)}`);
  for (const [index, path] of paths.entries()) {
    printLine(`${path} (seed ${facts[index]!.seed})`);
  }
}

/** The files beside the images. */
async function saveTensors(
  { saveLatents, saveMaps }: SampleFlags,
  { members }: Ensemble,
  { latents, timesteps }: DrawnImages,
  maps: AttentionMaps,
): Promise<void> {
  if (saveLatents !== undefined) await writeLatents(saveLatents, latents);
  if (saveMaps !== undefined) {
    const experts = JSON.stringify(members.map(({ name }) => name));
    await maps.write(saveMaps, { experts, timesteps: JSON.stringify(timesteps) });
  }
}

/** Runs the job behind a progress bar. */
async function draw(run: Omit<JobRun, "onStep">, isSilent: boolean): Promise<DrawnImages> {
  using progress = new Progress({
    label: "Sampling",
    total: run.spec.steps,
    terminal: stderrTerminal(),
    now: () => performance.now(),
    isSilent,
  });
  return await runJob({ ...run, onStep: (stepsDone) => progress.update(stepsDone) });
}

function refuseContradictions(
  { initLatents, size, batch, checkpoint, resume, saveMaps }: SampleFlags,
): void {
  // A file of latents already says how many images there are, and how large.
  for (const [flag, value] of Object.entries({ "--size": size, "--batch": batch })) {
    if (initLatents !== undefined && value !== undefined) {
      throw new UsageError(`${flag} and --init-latents contradict each other: leave one out`);
    }
  }
  if (resume && checkpoint === undefined) {
    throw new UsageError("--resume needs --checkpoint FILE, the file that the run was kept in");
  }
  if (resume && saveMaps !== undefined) {
    throw new UsageError(
      "--resume and --save-maps contradict each other: a checkpoint has no maps",
    );
  }
}

/** The step to go on from, if there is one. */
async function findCheckpoint(
  { resume }: SampleFlags,
  file: FileCheckpoint | undefined,
  note: (text: string) => void,
): Promise<StepCheckpoint | undefined> {
  if (!file) return undefined;
  if (!resume) {
    if (!await exists(file.path)) return undefined;
    throw new UsageError(
      `--checkpoint "${file.path}" is there already: go on from it with --resume, or remove it`,
    );
  }
  const from = await file.load();
  note(
    from
      ? `Going on after step ${from.stepIndex + 1} of ${from.spec.steps}`
      : `No step is kept in "${file.path}" yet: starting anew`,
  );
  return from;
}

/** Unit Gaussian latents from a file; undefined if the seeds are to make them. */
async function readNoise(
  { experts }: Ensemble,
  { initLatents }: SampleFlags,
): Promise<F32Tensor | undefined> {
  if (initLatents === undefined) return undefined;
  return await readLatents(initLatents, experts[0]!.description.latentChannels);
}

/** One per image, to draw and to name it by; of a run that goes on, its own. */
function seedsOf(
  { seed, batch }: Settings,
  from: StepCheckpoint | undefined,
  noise: F32Tensor | undefined,
): JobSpec["seeds"] {
  if (noise) return seedsFrom(seed === "random" ? 0n : seed, noise.shape[0]!);
  if (from && seed === "random" && batch === from.spec.seeds.length) return from.spec.seeds;
  return seedsFrom(seed, batch);
}
