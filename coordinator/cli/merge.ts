/** `tutti merge`: one checkpoint out of several. @module */

import { Command, Option } from "commander";
import { basename } from "node:path";
import process from "node:process";
import { FAMILIES } from "../../shared/models/families.ts";
import { UsageError } from "../../shared/errors.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatBytes, formatDuration } from "../../shared/terminal/units.ts";
import { mergeToFile } from "../merging/merge_to_file.ts";
import { MERGE_METHODS } from "../../shared/merging/methods/merge_methods.ts";
import { ParameterError } from "../../shared/merging/parameter_error.ts";
import type { WrittenParameters } from "../../shared/merging/parameters.ts";
import { PRESETS } from "../../shared/merging/presets.ts";
import { defaultMethod } from "../../shared/merging/recipe.ts";
import { readRecipe, type Recipe } from "../../shared/merging/recipe_file.ts";
import { ByteProgress } from "./byte_progress.ts";
import { finiteNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { DTYPE_NAMES } from "../../shared/tensor/dtype_names.ts";

/** Flags that are parameters of methods, under the parameters' names. */
interface ParameterFlags {
  readonly weights?: readonly number[];
  readonly alpha?: string;
  readonly beta?: string;
  readonly density?: string;
  readonly lambda?: string;
  readonly mbw?: readonly string[];
  readonly base?: number;
}

interface MergeFlags extends ParameterFlags {
  readonly out: string;
  readonly method?: string;
  readonly recipe?: string;
  readonly dtype?: keyof typeof DTYPE_NAMES;
  readonly overwrite: boolean;
  readonly json: boolean;
}

const PARAMETERS = ["weights", "alpha", "beta", "density", "lambda", "mbw", "base"] as const;

/** Hashing less than this takes no time that anyone notices. */
const LARGE_BYTES = 500_000_000;

export function mergeCommand(): Command {
  return new Command("merge")
    .summary("make one checkpoint out of several")
    .description(
      "Merges checkpoints of one family into a single file. It needs little memory, whatever their size, computes in " +
        "f64 and rounds once.",
    )
    .argument(
      "[models...]",
      "single files (.safetensors, .ckpt) or diffusers folders: A, B, C, ...",
    )
    .requiredOption("--out <file>", "where the result is written")
    .option("--method <name>", "see below (default: weights, or mbw with --mbw)")
    .option("--weights <list>", "one number a model, summing to 1 (default: equal)", numberList)
    .option("--alpha <value>", "share of B, or factor on a difference")
    .option("--beta <value>", "share of C")
    .option("--density <value>", "ties: share of each difference that is kept (default: 0.2)")
    .option("--lambda <value>", "ties: factor on what is added (default: 1)")
    .option("--mbw <row>", "block weights of B; once more for each further model", collect)
    .option("--base <x>", "weight of BASE in rows of blocks (default: 0)", finiteNumber("--base"))
    .option("--recipe <file>", "merges in a TOML file, in place of models and parameters")
    .addOption(
      new Option(
        "--dtype <dtype>",
        "what is stored (default: the recipe's, or the widest of the models)",
      )
        .choices(Object.keys(DTYPE_NAMES)),
    )
    .option("--overwrite", "replace a file that is there; never one of the models", false)
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", helpText())
    .action((models: string[], flags: MergeFlags) => runMerge(models, flags));
}

function helpText(): string {
  const width = Math.max(...Object.keys(MERGE_METHODS).map((name) => name.length));
  const methods = Object.entries(MERGE_METHODS)
    .map(([name, { formula }]) => `  ${name.padEnd(width)}  ${formula}`);
  return `
Methods:
${methods.join("\n")}

A value is a number, or a row that differs between blocks: a preset's name, 25 numbers IN00..IN11,M00,OUT00..OUT11, or
26 with BASE (text encoder and VAE) in front; for SDXL 19 or 20.
Presets: ${wrapped(Object.keys(PRESETS))}

Tensors without "model" and "weight" or "bias" in their names, and those that a model lacks, are A's.

A recipe chains merges without files in between:
  [[merge]]
  name = "look"
  method = "add-difference"
  models = ["photo.safetensors", "anime.safetensors", "base.safetensors"]
  alpha = 0.8

  [[merge]]
  models = ["look", "faces.toml"]
  mbw = "GRAD_V"
  base = 0.5

Examples:
  tutti merge a.safetensors b.safetensors --weights 0.7,0.3 --out c.safetensors
  tutti merge --method add-difference a.safetensors b.safetensors c.safetensors --alpha 0.5 --out d.safetensors
  tutti merge a.safetensors b.safetensors --mbw GRAD_V --base 0.5 --out e.safetensors
  tutti merge --recipe mix.toml --dtype f16 --out f.safetensors`;
}

async function runMerge(models: readonly string[], flags: MergeFlags): Promise<void> {
  const { out, overwrite, json } = flags;
  const { merge, files, ...recipe } = await mergeOf(models, flags);
  const dtype = flags.dtype ? DTYPE_NAMES[flags.dtype] : recipe.dtype;
  const terminal = stderrTerminal();
  using interrupt = onInterrupt();
  let progress: ByteProgress | undefined;
  const report = await mergeToFile(merge, {
    out,
    overwrite,
    protectedFiles: files,
    signal: interrupt.signal,
    ...(dtype && { dtype }),
    onHash: (name, sizeBytes) =>
      json || sizeBytes < LARGE_BYTES ||
      terminal.write(`Hashing ${name} (${formatBytes(sizeBytes)})\n`),
    onWrite: (totalBytes) => {
      const shown = progress = new ByteProgress(`Merging ${basename(out)}`, totalBytes, json);
      return (writtenBytes) => shown.update(writtenBytes);
    },
  }).catch((error) => {
    throw error instanceof ParameterError ? refusal(error) : error;
  }).finally(() => progress?.[Symbol.dispose]());
  const { sizeBytes, mergeMs } = report;
  const bytesPerSecond = Math.round(sizeBytes / (mergeMs / 1000));
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  if (json) {
    printJson({ path: out, method: merge.method, ...report, bytesPerSecond, peakMemoryBytes });
    return;
  }
  const { family, merged, kept, copied } = report;
  const others = [
    ...(kept > 0 ? [`${kept} of the first model alone`] : []),
    ...(copied > 0 ? [`${copied} of others`] : []),
  ];
  printLine(
    `${out}: ${FAMILIES[family].name}, ${formatBytes(sizeBytes)}, ${merged} tensors merged${
      others.map((text) => `, ${text}`).join("")
    }`,
  );
  printLine(
    `Merged in ${formatDuration(mergeMs)} (${formatBytes(bytesPerSecond)}/s), hashed in ${
      formatDuration(report.hashMs)
    }; peak memory ${formatBytes(peakMemoryBytes)}`,
  );
}

/** The merge that the command line describes, and the recipes in which it stands. */
async function mergeOf(
  models: readonly string[],
  flags: MergeFlags,
): Promise<Pick<Recipe, "merge" | "dtype" | "files">> {
  const parameters = Object.fromEntries(
    PARAMETERS.flatMap((name) => flags[name] === undefined ? [] : [[name, flags[name]]]),
  ) as WrittenParameters;
  if (flags.recipe === undefined) {
    const method = flags.method ?? defaultMethod(parameters);
    return { merge: { name: flags.out, method, models, parameters }, files: [] };
  }
  const [surplus] = [
    ...models.map((model) => `"${model}"`),
    ...(flags.method === undefined ? [] : ["--method"]),
    ...Object.keys(parameters).map((name) => `--${name}`),
  ];
  if (surplus !== undefined) {
    throw new UsageError(
      `${surplus} must not be given beside --recipe: models, methods and parameters stand in the recipe`,
    );
  }
  return await readRecipe(flags.recipe, "--recipe");
}

function refusal(error: ParameterError): UsageError {
  const name = error.field === "models" ? "<models>" : `--${error.field}`;
  return new UsageError(`${name} ${error.message}`, { cause: error });
}

/** Words in lines that are not too long to read. */
function wrapped(words: readonly string[]): string {
  return words.join(", ").match(/\S.{0,100}(?:,(?= )|$)/g)!.join("\n  ");
}

function numberList(text: string): readonly number[] {
  return text.split(",").map(finiteNumber("--weights"));
}

function collect(row: string, rows: readonly string[] = []): readonly string[] {
  return [...rows, row];
}
