/** `tutti sample`: from a prompt to PNG files. @module */

import { Command } from "commander";
import { isDeepStrictEqual } from "node:util";
import { exists } from "../../shared/checkpoint/exists.ts";
import { UsageError } from "../../shared/errors.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { shortenHelp } from "../../shared/terminal/grouped_help.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { FileCheckpoint } from "../jobs/checkpoint_store.ts";
import { userDefaults } from "../cluster/user_defaults.ts";
import { distilledFor } from "../ensemble/distilled_for.ts";
import { type JobSpec, newJob } from "../jobs/job_spec.ts";
import { ownSize, readInitPicture } from "../jobs/init_picture.ts";
import { checkOut, outputPaths } from "../jobs/output_paths.ts";
import { readPictureRecord } from "../jobs/picture_record.ts";
import type { DrawnImages } from "../jobs/run_job.ts";
import type { StepCheckpoint } from "../jobs/step_checkpoint.ts";
import { storeImages } from "../jobs/store_images.ts";
import { encodePng } from "../image/png.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";
import { latentPreview } from "../sampling/latent_preview.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";
import { distilledFlags, firstGiven, PRESETS, USUAL_PRESET } from "../settings/presets.ts";
import { flagOf } from "../settings/setting.ts";
import type { Settings } from "../settings/settings.ts";
import { commandNotes } from "./command_notes.ts";
import {
  addExpertOptions,
  addReachOptions,
  type DrawingFlags,
  openToDraw,
} from "./drawing_ensemble.ts";
import { drawJobs } from "./draw_jobs.ts";
import { onInterrupt } from "./interrupt.ts";
import {
  addJobOptions,
  commonFlags,
  givenSettings,
  type JobFlags,
  seedsFrom,
} from "./job_options.ts";
import { AttentionMaps, readLatents, writeLatents } from "./latents_file.ts";
import {
  checkJobs,
  masksOf,
  methodOf,
  type PictureJob,
  readWishes,
  wantedPicture,
} from "./picture_jobs.ts";
import { printStored, type StoredJob } from "./sample_report.ts";
import { SampleStats } from "./sample_stats.ts";
import { patienceOf } from "./wait_option.ts";

export interface SampleFlags extends DrawingFlags, JobFlags {
  readonly out: string;
  readonly from?: string;
  readonly init?: string;
  readonly preview?: string;
  readonly mask?: string;
  readonly prompts?: string;
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
  "--init",
  "--ensemble",
  "--workers",
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
  tutti sample "a castle at dawn" --ensemble castles.toml --preset paper
  tutti sample "a (castle:1.2) at dawn, [people]" --clip-skip 2
  tutti sample "a castle in ink" --ensemble castles.toml --lora photo=loras/ink.safetensors:0.8
  tutti sample "a castle in ink" --steps 200 --seed 7 --checkpoint castle.ckpt   # killed? Then:
  tutti sample "a castle in ink" --steps 200 --seed 7 --checkpoint castle.ckpt --resume
  tutti sample "a castle in ink" --init castle.png --strength 0.6
  tutti sample "a dragon" --init castle.png --mask sky.png
  tutti sample --from pictures/castle.png --method average   # the same picture by another method
  tutti sample --prompts prompts.txt --ensemble castles.toml --seed 7 --out pictures
  tutti sample "a red circle" --stats --json`;

export function sampleCommand(): Command {
  const command = addExpertOptions(
    new Command("sample")
      .summary("draw an image with an ensemble")
      .description(
        "Draws images. Without --ensemble, --workers and --experts it starts workers on this machine for the experts that come with Tutti.",
      )
      .argument("[prompt]", "what to draw; needed unless --prompts or --from has it"),
  );
  addJobOptions(command)
    .optionsGroup(headingOf("Basics"))
    .option("--out <path>", "a .png, .jpg or .webp file, or a folder", "out")
    .option("--from <picture>", "draw a picture of tutti sample again; flags change what it says")
    .option(
      "--init <picture>",
      "start from a picture: --strength says how much of it is drawn anew",
    )
    .option(
      "--mask <picture>",
      "with --init, draw only where this picture is white; what is black stays as it is",
    )
    .option(
      "--preview <file>",
      "after each step, write here what the first picture looks like (PNG)",
    )
    .option(
      "--prompts <file>",
      'draw every line of a file: a prompt, or {"prompt": ..., "seed": ...} with settings of its own',
    )
    .optionsGroup(headingOf("Files"))
    .option(
      "--init-latents <file>",
      "start from these unit Gaussian latents (safetensors) instead of a seed",
    )
    .option("--save-latents <file>", "write the final latents (safetensors)")
    .option("--save-maps <file>", "write SABW's attention maps of every step (safetensors)")
    .option(
      "--checkpoint <file>",
      "keep each step in this file until the images are there, so that a run that was killed can go on",
    )
    .option(
      "--resume",
      "go on after the step in the --checkpoint file, to the same bits; without such a file start anew",
      false,
    );
  addReachOptions(command)
    .optionsGroup(headingOf("Reports"))
    .option("--stats", "print where the time went, per block", false)
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((prompt: string | undefined, flags: SampleFlags) => runSample(prompt, flags));
  return shortenHelp(command, [...commonFlags(), ...COMMON_FLAGS]);
}

async function runSample(words: string | undefined, flags: SampleFlags): Promise<void> {
  const start = performance.now();
  const { note, warn } = commandNotes(flags);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  refuseContradictions(flags);
  const picture = flags.from === undefined ? undefined : await readPictureRecord(flags.from);
  const wishes = await readWishes(listOf(words ?? picture?.prompt), flags.prompts);
  const plan = await ensemblePlan(flags);
  const checkpoints = flags.checkpoint === undefined
    ? undefined
    : new FileCheckpoint(flags.checkpoint);
  await using _held = await checkpoints?.hold();
  const from = await findCheckpoint(flags, checkpoints, note);
  const init = flags.init === undefined ? undefined : await readInitPicture(flags.init, flags.mask);
  const given = firstGiven(
    givenSettings(flags),
    picture?.settings ?? {},
    init ? { size: ownSize(init) } : {},
  );
  const isAgain = picture !== undefined || isUnusual(from);
  // A picture says all of itself.
  const user = picture ? undefined : await userDefaults();
  const context = { defaults: plan.defaults, user, given, isAgain };
  const wanted = wishes.map((wish) => wantedPicture(wish, context));
  const nats = await natsOptions(flags, "tutti sample");
  const methods = wanted.map((each) => methodOf(each, plan));
  const masks = await masksOf(wanted.map(({ chosen: { settings: { method } } }) => method));
  if (flags.saveMaps !== undefined && !methods[0]!.usesSabw) {
    throw new UsageError(
      "--save-maps needs a method that weighs pixels with trained aggregators (--sabw FOLDER, --method afa): others have no maps",
    );
  }
  await checkOut(flags.out, "image or folder");
  const { chosen } = wanted[0]!;
  const opened = await openToDraw({ plan, flags, chosen, nats, note, warn, signal });
  await using ensemble = opened.ensemble;

  const madeFor = distilledFor(ensemble);
  const suited = madeFor === undefined
    ? wanted
    : wishes.map((wish) => wantedPicture(wish, { ...context, madeFor }));
  if (!isDeepStrictEqual(suited, wanted)) {
    note(`Drawing with ${distilledFlags(madeFor!)}, which the experts are made for; flags win`);
  }
  const noise = await readNoise(ensemble, flags);
  const jobs = suited.map(({ prompt, chosen: { settings, origins }, where }): PictureJob => {
    const seeds = seedsOf(settings, from, noise);
    const spec = newJob({ prompt, seeds, ensemble: ensemble.name }, settings);
    return { spec, origins, ...(where !== undefined && { where }) };
  });
  if (jobs.length > 1) checkJobs(ensemble, jobs, masks);
  const stats = new SampleStats();
  const maps = new AttentionMaps();
  const stored: StoredJob[] = [];
  try {
    for await (
      const { drawn, place, names } of drawJobs(jobs, {
        ...{ ensemble, masks, warn, signal, isNumbered: flags.prompts !== undefined },
        note,
        ...(noise && { noise }),
        ...(init && { init }),
        ...(flags.preview !== undefined && { onDenoised: previewWriter(flags.preview, ensemble) }),
        ...(from && { from }),
        ...(picture && { drawnBefore: picture.conditions }),
        ...(checkpoints && { checkpoints }),
        patience: patienceOf(flags, note, signal),
        onSegment: (report: SegmentReport) => {
          stats.add(report);
          if (flags.saveMaps !== undefined) maps.add(report);
        },
      }, flags.json)
    ) {
      const paths = await outputPaths(flags.out, names, place);
      await storeImages(ensemble, drawn, paths);
      stored.push({ paths, facts: drawn.facts, samplingMs: drawn.samplingMs });
      await saveTensors(flags, ensemble, drawn, maps);
    }
    await checkpoints?.remove();
  } finally {
    // What is there is told of, even where another picture or file fails.
    if (stored.length > 0) {
      printStored(flags, {
        ...{ stored, ensemble, stats, note },
        ...{ fallbacks: opened.fallbacks, replicas: opened.replicas },
        ...(from && { resumedAfterStep: from.stepIndex + 1 }),
        elapsedMs: performance.now() - start,
      });
    }
  }
}

function previewWriter(path: string, { vae }: Ensemble) {
  return async (denoised: F32Tensor) => {
    const [first] = await latentPreview(vae, sliceRows(denoised, 0, 1));
    await writeWholeFile(path, encodePng({ ...first!, text: {} }));
  };
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

function listOf<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}

function refuseContradictions(flags: SampleFlags): void {
  const { init, mask, initLatents, size, batch, checkpoint, resume, saveMaps, prompts } = flags;
  // What belongs to one picture, or one batch.
  const ofOne = ["from", "initLatents", "saveLatents", "saveMaps", "checkpoint"] as const;
  const odd = ofOne.find((name) => flags[name] !== undefined);
  if (prompts !== undefined && odd !== undefined) {
    throw new UsageError(
      `${flagOf(odd)} and --prompts contradict each other: the one is about a single prompt`,
    );
  }
  // A file of latents already says how many images there are, and how large.
  for (const [flag, value] of Object.entries({ "--size": size, "--batch": batch })) {
    if (initLatents !== undefined && value !== undefined) {
      throw new UsageError(`${flag} and --init-latents contradict each other: leave one out`);
    }
  }
  if (mask !== undefined && init === undefined) {
    throw new UsageError(
      "--mask needs --init FILE, the picture that stays where the mask is black",
    );
  }
  if (init !== undefined && initLatents !== undefined) {
    throw new UsageError("--init and --init-latents contradict each other: leave one out");
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

/** Whether a run was begun by a command line that did not mean the usual preset: before that was usual, too. */
function isUnusual(from: StepCheckpoint | undefined): boolean {
  return from !== undefined && from.spec.sampler !== PRESETS[USUAL_PRESET].settings.sampler;
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
