/** `tutti automerge`: looks for block weights by trying them. @module */

import { Command, Option } from "commander";
import { join, resolve } from "node:path";
import { exists } from "../../shared/checkpoint/exists.ts";
import { modelHash } from "../../shared/checkpoint/model_hash.ts";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import { UsageError } from "../../shared/errors.ts";
import { ParameterError } from "../../shared/merging/parameter_error.ts";
import { openMerge } from "../../shared/merging/recipe.ts";
import { readRecipe } from "../../shared/merging/recipe_file.ts";
import { DTYPE_NAMES } from "../../shared/tensor/dtype_names.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { autoMerge, type AutoMergeResult, TriedMerge } from "../automerge/auto_merge.ts";
import { commandScorer } from "../automerge/command_scorer.ts";
import { noiseScorer } from "../automerge/noise_scorer.ts";
import { rowBlocks, rowMerge, rowRecipe, startRow } from "../automerge/row_merge.ts";
import type { Scorer } from "../automerge/scorer.ts";
import { searchGroups } from "../automerge/search.ts";
import { TryLog } from "../automerge/try_log.ts";
import { type Ensemble, openEnsemble } from "../ensemble/ensemble.ts";
import { mergeToFile } from "../merging/merge_to_file.ts";
import type { ImageSize } from "../settings/picture_values.ts";
import { readRecords } from "../training/dataset/records.ts";
import { holdRun } from "../training/hold_run.ts";
import { commandNotes } from "./command_notes.ts";
import { imageSize, wholeNumber } from "./flags.ts";
import { seedOption } from "./data_options.ts";
import { onInterrupt } from "./interrupt.ts";
import { skippedWarnings } from "./train_report.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";

interface AutoMergeFlags extends DeviceFlags {
  readonly run: string;
  readonly resume: boolean;
  readonly data?: string;
  readonly images: number;
  readonly drawsPerImage: number;
  readonly scorer?: string;
  readonly prompt: readonly string[];
  readonly steps: number;
  readonly size?: ImageSize;
  readonly seed: bigint;
  readonly start: readonly string[];
  readonly group: number;
  readonly tries: number;
  readonly dtype?: keyof typeof DTYPE_NAMES;
  readonly out?: string;
  readonly overwrite: boolean;
  readonly vae?: string;
  readonly tokenizer?: string;
  readonly json: boolean;
}

/** Half of each, and each alone: so nothing worse than these comes out. */
const STARTS = ["0.5", "0", "1"];

/** Rows of noisy latents that go through the model together. */
const MICRO_BATCH = 4;

const EXAMPLES = `
One group of blocks after the other gets the weight of B, in tenths, that scores best: BASE, M00, then IN00, IN01, ... and
OUT00, OUT01, ... by --group neighbours. It ends after a pass that gained nothing anyone would see: the same weights, or
pictures that differ by less than half a level of 255 on average; or after --tries. The best of all tries wins, starts
among them.

--data scores by the loss of denoising, which is smaller where a model knows such pictures; --scorer by a command of
yours, which gets the paths of the pictures of a try as its last arguments and prints a number last, larger for better.

The folder gets tries.jsonl, a line per try, pictures/ and recipe.toml, the best merge for tutti merge --recipe or
tutti worker --merge. With --resume a search that was killed goes on to the same result.

Examples:
  tutti automerge photo.safetensors anime.safetensors --data pictures --run search --out best.safetensors
  tutti automerge models/a models/b --scorer './judge.py --quick' --prompt "a castle" --prompt "a cat" --run search --vae models/vae
  tutti automerge photo.safetensors anime.safetensors --data pictures --run search --resume --tries 400`;

export function automergeCommand(): Command {
  return new Command("automerge")
    .summary("look for the block weights with which two models merge best")
    .description(
      "Tries block weights (MBW) of two models in memory and keeps those that score best: autoMBW.",
    )
    .argument("<a>", "single .safetensors file or diffusers folder")
    .argument("<b>", "the model whose weights are looked for")
    .requiredOption("--run <folder>", "where tries are logged, and the recipe is written")
    .option("--resume", "go on with the tries of that folder", false)
    .option("--data <path>", "score by pictures with captions: a folder, or a file of JSON lines")
    .option("--images <n>", "most pictures of --data that are used", wholeNumber("--images"), 16)
    .option(
      "--draws-per-image <n>",
      "timesteps and noises for each of them",
      wholeNumber("--draws-per-image"),
      4,
    )
    .option("--scorer <command>", "score by a command that gets pictures and prints a number")
    .option("--prompt <text>", "draw this with every try; several times for several", collect, [])
    .option("--steps <n>", "steps of these pictures", wholeNumber("--steps"), 20)
    .option(
      "--size <pixels>",
      "of pictures, as 512 or 768x512 (default: the models' own)",
      imageSize("--size"),
    )
    .addOption(seedOption())
    .option(
      "--start <row>",
      "weights to begin with, the best of several: a number, a preset of tutti merge, or 25 or 26 numbers " +
        `(default: ${STARTS.join(", ")})`,
      collect,
      [],
    )
    .option("--group <n>", "neighbouring blocks that share a weight", wholeNumber("--group"), 2)
    .option("--tries <n>", "most tries in all", wholeNumber("--tries"), 200)
    .addOption(
      new Option(
        "--dtype <dtype>",
        "what merges are rounded to (default: the widest of the models)",
      )
        .choices(Object.keys(DTYPE_NAMES)),
    )
    .option("--out <file>", "write the best merge as a checkpoint, too")
    .option("--overwrite", "replace an --out that is there", false)
    .option("--vae <path>", "VAE: folder or single file (default: A's)")
    .option("--tokenizer <folder>", "tokenizer (default: one that is found)")
    .addOption(deviceOption("what computes"))
    .addOption(precisionOption("models compute"))
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((a: string, b: string, flags: AutoMergeFlags) => runAutoMerge(a, b, flags));
}

async function runAutoMerge(a: string, b: string, flags: AutoMergeFlags): Promise<void> {
  const { terminal, note, warn } = commandNotes(flags);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  checkFlags(flags);
  if (flags.out !== undefined && !flags.overwrite && await exists(flags.out)) {
    throw new UsageError(`--out must not exist, unless --overwrite is given: "${flags.out}" does`);
  }
  const records = flags.data === undefined ? undefined : await readRecords(flags.data);
  const models = [resolve(a), resolve(b)] as const;
  const dtype = flags.dtype && DTYPE_NAMES[flags.dtype];
  const search = await prepareSearch(models, flags);
  const [row] = search.starts as [number[]];
  using _ = await holdRun(flags.run, "--run");
  const recipe = await readRecipe(
    `{ method = "mbw", models = ${JSON.stringify(models)}, mbw = ${JSON.stringify(row)} }`,
  );
  const { device, explanation } = await chooseDevice(flags.device);
  if (explanation !== undefined) note(explanation);
  await using ensemble = await openEnsemble({
    name: "automerge",
    experts: [{ name: "merge", model: { ...recipe, ...(dtype && { dtype }) } }],
    sabw: { kind: "uniform" },
    vae: flags.vae ?? await ownVae(models[0]),
    ...(flags.tokenizer !== undefined && { tokenizer: resolve(flags.tokenizer) }),
  }, { isLocal: true, device, precision: flags.precision, signal, onProgress: note });
  const merge = new TriedMerge(ensemble, {
    ...{ name: search.hashes.join("+"), models, blocks: search.blocks, row },
    ...(dtype && { dtype }),
  });
  const scorer = records === undefined
    ? commandScorer(flags.scorer!)
    : await dataScorer(ensemble, merge, { records, flags, warn, signal });
  const log = await TryLog.open(join(flags.run, "tries.jsonl"), {
    blocks: search.blocks,
    isResumed: flags.resume,
    conditions: conditionsOf(search, scorer, ensemble, flags),
  });
  await Deno.mkdir(join(flags.run, "pictures"), { recursive: true });
  const { prompt: prompts, steps, seed, size } = flags;
  let result: AutoMergeResult;
  {
    using progress = new Progress({
      ...{ label: "Trying", total: flags.tries, terminal, isSilent: flags.json },
      now: () => performance.now(),
    });
    let done = 0;
    result = await autoMerge({
      ...{ merge, scorer, log, warn, signal, folder: flags.run, tries: flags.tries },
      ...{ starts: search.starts, groups: searchGroups(search.blocks, flags.group) },
      pictures: { prompts, steps, seed, ...(size && { size }) },
      onTry: (_, best) => progress.update(++done, `Trying, best score ${shown(best)}`),
    });
  }
  const path = join(flags.run, "recipe.toml");
  await writeWholeFile(path, rowRecipe(models, result.row, dtype));
  if (flags.out !== undefined) {
    await mergeToFile(rowMerge(models, result.row), {
      ...{ out: flags.out, overwrite: flags.overwrite, signal },
      ...(dtype && { dtype }),
    });
  }
  report(result, search.blocks, path, flags);
}

function checkFlags({ data, scorer, prompt }: AutoMergeFlags): void {
  if ((data === undefined) === (scorer === undefined)) {
    throw new UsageError(
      `--data <path> or --scorer <command> must say how merges are scored: ${
        data === undefined ? "neither is given" : "both are given"
      }`,
    );
  }
  if (scorer !== undefined && prompt.length === 0) {
    throw new UsageError("--scorer needs a --prompt: it is given the pictures of each try");
  }
}

interface PreparedSearch {
  readonly blocks: readonly string[];
  readonly starts: readonly (readonly number[])[];
  /** SHA-256 of each model. */
  readonly hashes: readonly string[];
}

/** @throws {TuttiError} if the models do not fit each other, or a start is no row */
async function prepareSearch(
  models: readonly [string, string],
  { start }: AutoMergeFlags,
): Promise<PreparedSearch> {
  const rows = start.length > 0 ? start : STARTS;
  using opened = await openMerge({ name: "automerge", method: "weights", models, parameters: {} });
  const { model: { family }, inputs } = opened;
  try {
    return {
      blocks: rowBlocks(family),
      starts: rows.map((written) => startRow(written, family)),
      hashes: await Promise.all([...inputs.values()].map(({ paths }) => modelHash(paths))),
    };
  } catch (error) {
    if (!(error instanceof ParameterError)) throw error;
    throw new UsageError(`--${error.field} ${error.message}`, { cause: error });
  }
}

/** A single file holds its own; a folder has one beside its U-Net. */
async function ownVae(model: string): Promise<string> {
  if ((await Deno.stat(model)).isFile) return model;
  const folder = join(model, "vae");
  if (await exists(folder)) return folder;
  throw new UsageError(`--vae must name a VAE: "${model}" has none`);
}

async function dataScorer(
  ensemble: Ensemble,
  merge: TriedMerge,
  { records, flags, warn, signal }: {
    readonly records: Awaited<ReturnType<typeof readRecords>>;
    readonly flags: AutoMergeFlags;
    readonly warn: (text: string) => void;
    readonly signal: AbortSignal;
  },
): Promise<Scorer> {
  const { images: most, drawsPerImage, seed, run } = flags;
  const scorer = await noiseScorer({
    ...{ ensemble, textName: () => merge.textName, data: records, most, drawsPerImage, seed },
    ...{ microBatch: MICRO_BATCH, cache: join(run, "cache"), signal },
  });
  skippedWarnings(scorer.skipped).forEach(warn);
  return scorer;
}

function conditionsOf(
  { hashes, starts }: PreparedSearch,
  scorer: Scorer,
  { vaeHash, experts }: Ensemble,
  { prompt, steps, size, seed, group, dtype }: AutoMergeFlags,
) {
  return {
    models: hashes,
    ...{ starts, group, dtype: dtype ?? "widest" },
    ...scorer.conditions,
    pictures: prompt.length === 0 ? [] : [...prompt, { steps, size: size ?? "own", vaeHash }],
    seed: String(seed),
    computed: experts[0]!.description.fingerprint,
  };
}

function report(
  { row, score, tries, isSettled }: AutoMergeResult,
  blocks: readonly string[],
  recipe: string,
  { out, json }: AutoMergeFlags,
): void {
  const weights = Object.fromEntries(blocks.map((block, i) => [block, row[i]!]));
  if (json) {
    printJson({ score, tries, isSettled, weights, recipe, ...(out !== undefined && { out }) });
    return;
  }
  const why = isSettled ? "nothing better was left to see" : "no tries were left";
  printLine(`Best of ${tries} tries scores ${shown(score)}; ${why}`);
  printLine(blocks.map((block, i) => `${block} ${Number(row[i]!.toFixed(4))}`).join(", "));
  printLine(`Recipe: ${recipe}${out === undefined ? "" : `; checkpoint: ${out}`}`);
}

function shown(score: number): string {
  return Number.isFinite(score) ? String(Number(score.toPrecision(6))) : "-";
}

function collect(text: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, text];
}
