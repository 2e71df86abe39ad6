/** `tutti zoo`: makes models. @module */

import { Command, Option } from "commander";
import { basename, dirname, join } from "node:path";
import { UsageError } from "../../shared/errors.ts";
import { type Family, FAMILY_IDS } from "../../shared/models/families.ts";
import { parameterCount } from "../../shared/models/parameters.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatBytes, formatDuration } from "../../shared/terminal/units.ts";
import { isPublishedSize, modelConfigs } from "../zoo/model_configs.ts";
import { modelParts } from "../zoo/model_parts.ts";
import {
  type RandomCheckpointOptions,
  weightBytes,
  writeConfigs,
  writeRandomCheckpoint,
} from "../zoo/random_checkpoint.ts";
import { ByteProgress } from "./byte_progress.ts";
import { finiteNumber, seed, wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { shapesCommand } from "./zoo_shapes.ts";
import { trainZooCommand } from "./zoo_train.ts";
import { DTYPE_NAMES } from "../../shared/tensor/dtype_names.ts";

interface RandomFlags {
  readonly family: Family;
  readonly dtype: keyof typeof DTYPE_NAMES;
  readonly layout?: "single" | "diffusers";
  readonly seed: bigint;
  readonly scale?: number;
  readonly depth?: number;
  readonly json: boolean;
}

const EXAMPLES = `
The values follow from the seed alone: equal in both layouts, rounded to the dtype. A single file of other widths or
depths than the published model's gets a folder with its config.json's beside it, for --config.

Examples:
  tutti zoo random --family sd15 /tmp/sd15.safetensors
  tutti zoo random --family sdxl --dtype bf16 --layout diffusers /tmp/sdxl
  tutti zoo random --family sdxl --depth 1 --seed 7 /tmp/shallow.safetensors`;

export function zooCommand(): Command {
  return new Command("zoo").summary("make models, and data to train with")
    .description("Makes models, and data to train with.")
    .addCommand(trainZooCommand()).addCommand(randomCommand()).addCommand(shapesCommand());
}

function randomCommand(): Command {
  return new Command("random")
    .summary("write a checkpoint of full size with random weights")
    .description(
      "Writes a checkpoint of full size with random weights (U-Net, text encoders, VAE): it draws noise, and takes the " +
        "time and memory of a real one.",
    )
    .argument("<out>", "file, or folder of the diffusers layout, to write; must not exist")
    .addOption(
      new Option("--family <family>", "architecture").choices(FAMILY_IDS)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--dtype <dtype>", "what values are stored as").choices(Object.keys(DTYPE_NAMES))
        .default("f16"),
    )
    .addOption(
      new Option("--layout <layout>", "default: single if <out> ends in .safetensors")
        .choices(["single", "diffusers"]),
    )
    .addOption(
      // Told as text: help cannot print a bigint by itself.
      new Option("--seed <n>", "seed of the values").argParser(seed("--seed")).default(0n, "0"),
    )
    .option("--scale <factor>", "factor on all widths, above 0 to 1", finiteNumber("--scale"))
    .option(
      "--depth <n>",
      "most transformer blocks per attention and layers per text encoder",
      wholeNumber("--depth"),
    )
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((out: string, flags: RandomFlags) => runRandom(out, flags));
}

async function runRandom(out: string, flags: RandomFlags): Promise<void> {
  const start = performance.now();
  const { family, dtype, json } = flags;
  const layout = flags.layout ?? (out.endsWith(".safetensors") ? "single" : "diffusers");
  if (layout === "single" && !out.endsWith(".safetensors")) {
    throw new UsageError(
      `<out> must end in ".safetensors" for a single file: current value is "${out}"`,
    );
  }
  const size = {
    ...(flags.scale !== undefined && { scale: flags.scale }),
    ...(flags.depth !== undefined && { depth: flags.depth }),
  };
  const parts = modelParts(modelConfigs(family, size));
  const sizeBytes = weightBytes(parts, DTYPE_NAMES[dtype]);
  using interrupt = onInterrupt();
  await write({
    path: out,
    layout,
    family,
    parts,
    dtype: DTYPE_NAMES[dtype],
    seed: flags.seed,
    signal: interrupt.signal,
  }, json);
  const configFolder = layout === "single" && !isPublishedSize(size)
    ? configsBeside(out)
    : undefined;
  if (configFolder !== undefined) await writeConfigs(configFolder, parts);
  const parameters = parameterCount(parts.flatMap((part) => [...part.parameters.values()]));
  const elapsedMs = performance.now() - start;
  if (json) {
    printJson({
      path: out,
      family,
      layout,
      dtype,
      seed: flags.seed,
      parameters,
      sizeBytes,
      configFolder,
      elapsedMs,
    });
  } else {
    printLine(
      `${out}: ${family} with ${parameters} random parameters, ${
        formatBytes(sizeBytes)
      } of ${dtype}, seed ${flags.seed}, ` +
        `in ${formatDuration(elapsedMs)}`,
    );
    if (configFolder !== undefined) {
      printLine(`Its configs: ${configFolder} (open it with --config ${configFolder})`);
    }
  }
}

/** With a bar that ends before the result is printed. */
async function write(options: RandomCheckpointOptions, isSilent: boolean): Promise<void> {
  const { path, parts, dtype } = options;
  const totalBytes = weightBytes(parts, dtype);
  using progress = new ByteProgress(`Writing ${basename(path)}`, totalBytes, isSilent);
  await writeRandomCheckpoint({ ...options, onProgress: (done) => progress.update(done) });
}

function configsBeside(file: string): string {
  return join(dirname(file), `${basename(file, ".safetensors")}.config`);
}
