/** `tutti inspect`: what a model file or folder holds. @module */

import { Command, Option } from "commander";
import { isSaid } from "../../shared/checkpoint/own_schedule.ts";
import { FormatError } from "../../shared/errors.ts";
import { FAMILIES } from "../../shared/models/families.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { localPath } from "../../shared/hub/cached_model.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import { type Inspection, inspectModel } from "../inspect/inspect_model.ts";
import type { PictureRun, PredictedMemory } from "../inspect/predict_memory.ts";
import { ignoredMark, scheduleText } from "../sampling/samplers/schedule_text.ts";
import type { ImageSize } from "../settings/picture_values.ts";
import { imageSize } from "./flags.ts";

interface InspectFlags {
  readonly config?: string;
  readonly size?: ImageSize;
  readonly precision: PictureRun["precision"];
  readonly json: boolean;
}

const EXAMPLES = `
Exit code 4 if it is no model that Tutti runs (the message tells what it is), or a part does not fit its config.

Examples:
  tutti inspect photo.safetensors
  tutti inspect models/dreamy --json | jq .parts`;

/** Hashing less than this takes no time that anyone notices. */
const LARGE_BYTES = 500_000_000;
/** Digits of a hash that other tools show. */
const SHORT_HASH = 10;
const LISTED_KEYS = 8;

export function inspectCommand(): Command {
  return new Command("inspect")
    .summary("tell what a model file or folder holds")
    .description(
      "Tells family, parts, dtypes, hashes and blocks of a model, and what of it is missing or ignored.",
    )
    .argument("<model>", "single file (.safetensors, .ckpt), or diffusers folder")
    .option(
      "--config <folder>",
      "folder with the config.json's of a single file of unusual sizes, or its U-Net's config.json",
    )
    .addOption(
      new Option("--size <pixels>", "of the pictures that memory is predicted for: 512 or 768x512")
        .argParser(imageSize("--size")),
    )
    .addOption(
      new Option("--precision <precision>", "that memory is predicted for")
        .choices(["f32", "f16"]).default("f32"),
    )
    .option("--json", "print one JSON object", false)
    .addHelpText("after", EXAMPLES)
    .action((model: string, flags: InspectFlags) => runInspect(model, flags));
}

async function runInspect(
  named: string,
  { config, size, precision, json }: InspectFlags,
): Promise<void> {
  const model = await localPath(named);
  const terminal = stderrTerminal();
  const inspection = await inspectModel(model, {
    ...(config !== undefined && { configFrom: config }),
    run: { ...size, precision },
    onHash: (name, sizeBytes) =>
      json || sizeBytes < LARGE_BYTES ||
      terminal.write(`Hashing ${name} (${formatBytes(sizeBytes)})\n`),
  });
  if (json) printJson(inspection);
  else printInspection(inspection);
  const misfits = inspection.parts.filter(({ problem }) => problem !== undefined);
  if (misfits.length > 0) {
    throw new FormatError(
      `Model "${model}" cannot run: its ${
        misfits.map(({ part }) => part).join(", ")
      } must fit the config of ` +
        `${
          FAMILIES[inspection.family].name
        }, or one that --config names (in an ensemble file "config", of a VAE "vae_config")`,
    );
  }
}

function printInspection(inspection: Inspection): void {
  const { parts, files, blocks, sampleSize } = inspection;
  for (const { problem } of parts) if (problem !== undefined) printLine(`${problem}\n`);
  printLine(formatTable(["", ""], facts(inspection)));
  printLine(
    "\n" + formatTable(
      ["part", { title: "parameters", align: "right" }, { title: "size", align: "right" }, "dtype"],
      parts.map(({ part, parameters, sizeBytes, dtypes }) => [
        part,
        thousands(parameters),
        formatBytes(sizeBytes),
        dtypes.join(", "),
      ]),
    ),
  );
  printLine(
    "\n" + formatTable(
      ["file", { title: "size", align: "right" }, "sha256"],
      files.map(({ path, sizeBytes, sha256 }) => [path, formatBytes(sizeBytes), sha256]),
    ),
  );
  if (blocks.length === 0) return;
  printLine(`\nBlocks, for latents of ${sampleSize} x ${sampleSize}:`);
  printLine(formatTable(
    ["block", "layers", "input", "skip", "output", { title: "parameters", align: "right" }],
    blocks.map(({ id, layers, input, skip, output, parameters }) => [
      id,
      layers.join(", "),
      input.join("x"),
      skip ? `${skip.channels} of ${skip.from}` : "",
      output.join("x"),
      thousands(parameters),
    ]),
  ));
}

function facts(inspection: Inspection): string[][] {
  const { family, layout, predictionType, modelHash, missing, leftOver, path } = inspection;
  const { emaCopies, emaBytes, others } = leftOver;
  const { ownSchedule, memory } = inspection;
  return [
    ["model", path],
    ["family", FAMILIES[family].name],
    ["layout", layout],
    ["prediction", predictionType],
    ...(ownSchedule?.ignored === undefined ? [] : [["ignored", ignoredMark(ownSchedule.ignored)]]),
    ...(isSaid(ownSchedule)
      ? [["schedule", `${scheduleText(ownSchedule.config)} (${ownSchedule.source})`]]
      : []),
    ["hash", `${modelHash.slice(0, SHORT_HASH)} (${modelHash})`],
    ["missing", missing.join(", ") || "nothing"],
    ...(memory ? [["memory", memoryText(memory)]] : []),
    ...(emaCopies > 0
      ? [["ignored", `${emaCopies} running averages (EMA), ${formatBytes(emaBytes)}`]]
      : []),
    ...(others.length > 0 ? [["unused", listed(others)]] : []),
  ];
}

function memoryText({ width, height, precision, drawBytes, peakBytes }: PredictedMemory): string {
  return `about ${
    formatBytes(drawBytes)
  } for a worker that draws ${width}x${height} in ${precision}, ` +
    `${formatBytes(peakBytes)} while it loads`;
}

function listed(keys: readonly string[]): string {
  const more = keys.length > LISTED_KEYS ? `, and ${keys.length - LISTED_KEYS} more` : "";
  return `${keys.length} tensors: ${keys.slice(0, LISTED_KEYS).join(", ")}${more}`;
}

/** `859520964` -> `859,520,964` */
function thousands(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}
