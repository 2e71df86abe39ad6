/** `tutti sheet`: pictures of the same prompts and seeds by several ways of drawing, in one labelled grid. @module */

import { dirname, extname } from "node:path";
import { Command } from "commander";
import { TuttiError, UsageError } from "../../shared/errors.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { shortenHelp } from "../../shared/terminal/grouped_help.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import { median } from "../bench/statistics.ts";
import { userDefaults } from "../cluster/user_defaults.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { type EnsemblePlan, ensemblePlan } from "../ensemble/ensemble_plan.ts";
import type { Masks } from "../sampling/methods/regions/mask.ts";
import { expertNames } from "../ensemble/expert_names.ts";
import { sheetPng, sheetSvg } from "../image/contact_sheet.ts";
import { newJob } from "../jobs/job_spec.ts";
import { isFolder } from "../jobs/output_paths.ts";
import { DEFAULT_SAMPLER } from "../sampling/samplers/samplers.ts";
import type { GivenSettings } from "../settings/settings.ts";
import { commandNotes } from "./command_notes.ts";
import {
  addExpertOptions,
  addReachOptions,
  type DrawingFlags,
  openToDraw,
} from "./drawing_ensemble.ts";
import { onInterrupt } from "./interrupt.ts";
import {
  addJobOptions,
  commonFlags,
  givenSettings,
  type JobFlags,
  seedsFrom,
} from "./job_options.ts";
import {
  checkJobs,
  masksOf,
  methodOf,
  type PictureJob,
  readWishes,
  type WantedPicture,
  wantedPicture,
} from "./picture_jobs.ts";
import {
  type Column,
  type ColumnFlags,
  methodList,
  samplerList,
  sheetColumns,
} from "./sheet_columns.ts";
import { drawGrid } from "./sheet_grid.ts";
import { sheetText } from "./sheet_text.ts";
import { patienceOf } from "./wait_option.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";

interface SheetFlags extends DrawingFlags, JobFlags, ColumnFlags {
  readonly out: string;
  readonly prompts?: string;
  readonly json: boolean;
}

/** Those of the short help, beside settings. */
const COMMON_FLAGS = [
  ...["--methods", "--samplers", "--preset", "--out", "--prompts"],
  ...["--ensemble", "--workers", "--sabw", "--device"],
];

const EXAMPLES = `
Without --methods and --samplers the columns are each expert alone, their average, and AFA where there are trained
aggregators. With both there is one for each pair. Below each column stands the median time of a picture.

Examples:
  tutti sheet "a large red heart on a plain white background" --seed 104
  tutti sheet "a castle at dawn" "a castle in ink" --ensemble castles.toml --methods average,weights:photo=0.7,anime=0.3
  tutti sheet "a castle at dawn" --ensemble castles.toml --samplers ddim,dpmpp_2m_karras,unipc --steps 20
  tutti sheet "a large purple star on a plain white background" --methods all --out methods.png
  tutti sheet --prompts prompts.txt --batch 2 --seed 1 --out sheet.svg`;

export function sheetCommand(): Command {
  const command = addExpertOptions(
    new Command("sheet")
      .summary("draw prompts by several experts, methods or samplers into one labelled grid")
      .description(
        "Draws a row for each prompt, all of it from the same seed, and a column for each way of drawing.",
      )
      .argument("[prompts...]", "what to draw; needed unless --prompts has it"),
  );
  addJobOptions(command)
    .optionsGroup(headingOf("Basics"))
    .option(
      "--methods <list>",
      'columns: methods as --method takes them, separated by commas; "all" is every method that fits',
      methodList,
    )
    .option(
      "--samplers <list>",
      'columns: samplers as --sampler takes them, separated by commas; "all" is every sampler that fits',
      samplerList,
    )
    .option("--out <file>", "a .png or .svg file", "sheet.png")
    .option("--prompts <file>", "a row for each line of a file, as tutti sample takes it");
  addReachOptions(command)
    .optionsGroup(headingOf("Reports"))
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((prompts: string[], flags: SheetFlags) => runSheet(prompts, flags));
  return shortenHelp(command, [...commonFlags(), ...COMMON_FLAGS]);
}

async function runSheet(prompts: readonly string[], flags: SheetFlags): Promise<void> {
  const { note, warn } = commandNotes(flags);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  refuseContradictions(flags);
  const wishes = await readWishes(prompts, flags.prompts);
  const plan = await ensemblePlan(flags);
  const [random] = seedsFrom("random", 1);
  const { defaults } = plan;
  const context = { defaults, user: await userDefaults(), given: columnSettings(flags) };
  const wanted = wishes.map((wish) => withSeed(wantedPicture(wish, context), random!));
  refuseUnfitting(flags, wanted, plan);
  const nats = await natsOptions(flags, "tutti sheet");
  await checkOut(flags.out);
  const { chosen } = wanted[0]!;
  const opened = await openToDraw({ plan, flags, chosen, nats, note, warn, signal });
  await using ensemble = opened.ensemble;

  const { columns, masks } = await fittingColumns(flags, ensemble, wanted, note);
  const rows = wanted.map((each) => columns.map((column) => jobOf(ensemble, column, each)));
  const patience = patienceOf(flags, note, signal);
  const grid = await drawGrid(rows, { ensemble, masks, signal, warn, patience }, flags.json);
  const times = columns.map((_, c) => median(grid.map((row) => row[c]!.msPerPicture)));
  const specs = rows.map(([first]) => first!.spec);
  const { titles, footer } = sheetText(specs, columns);
  await writeSheet(
    flags.out,
    sheetSvg({
      columns: columns.map(({ title }, c) => ({
        ...{ title, note: `${formatDuration(times[c]!)} a picture` },
      })),
      rows: grid.map((cells, r) => ({
        ...{ title: titles[r]!, cells: cells.map(({ pictures }) => pictures) },
      })),
      footer,
    }),
  );
  if (!flags.json) return printLine(flags.out);
  printJson({
    out: flags.out,
    columns: columns.map(({ title, settings }, c) => ({
      ...{ title, ...settings, msPerPicture: times[c]! },
    })),
    rows: specs.map(({ prompt, seeds }) => ({ prompt, seeds: seeds.map(String) })),
  });
}

/** With samplers for columns nothing is the usual preset's. */
function columnSettings(flags: SheetFlags): GivenSettings {
  const given = givenSettings(flags);
  return flags.samplers === undefined ? given : { ...given, sampler: DEFAULT_SAMPLER };
}

/** A row is of one seed, a random one of one for all rows. */
function withSeed({ chosen, ...rest }: WantedPicture, random: bigint): WantedPicture {
  const { seed } = chosen.settings;
  const settings = { ...chosen.settings, seed: seed === "random" ? random : seed };
  return { ...rest, chosen: { ...chosen, settings } };
}

/** A setting that the columns are about has no single value. */
function refuseContradictions(flags: SheetFlags): void {
  if (flags.samplers !== undefined && flags.sampler !== undefined) {
    throw new UsageError("--samplers and --sampler contradict each other: leave one out");
  }
  if (flags.method === undefined) return;
  if (flags.methods !== undefined) {
    throw new UsageError("--methods and --method contradict each other: leave one out");
  }
  if (flags.samplers === undefined) {
    throw new UsageError("--method needs --samplers: without it the columns are methods");
  }
}

/** What can be told of the columns before experts are open. */
function refuseUnfitting(
  { methods }: SheetFlags,
  wanted: readonly WantedPicture[],
  plan: EnsemblePlan,
): void {
  const named = Array.isArray(methods) ? methods as readonly string[] : [undefined];
  for (const method of named) {
    for (const { chosen, ...each } of wanted) {
      const settings = { ...chosen.settings, ...(method !== undefined && { method }) };
      methodOf({ ...each, chosen: { ...chosen, settings } }, plan);
    }
  }
}

/** @throws {UsageError} if a column that was named does not fit the ensemble, or none of a table does */
async function fittingColumns(
  flags: SheetFlags,
  ensemble: Ensemble,
  wanted: readonly WantedPicture[],
  note: (text: string) => void,
): Promise<{ readonly columns: readonly Column[]; readonly masks: Masks }> {
  const experts = expertNames(ensemble.members);
  const columns = sheetColumns(flags, {
    experts,
    hasSabw: ensemble.sabw !== undefined,
    featuresDiffer: ensemble.featuresDiffer !== undefined,
  });
  const masks = await masksOf([
    ...columns.map(({ settings }) => settings.method),
    ...wanted.map(({ chosen: { settings } }) => settings.method),
  ]);
  const fitting = columns.filter((column) => {
    try {
      checkJobs(ensemble, wanted.map((each) => jobOf(ensemble, column, each)), masks);
      return true;
    } catch (error) {
      const { code, message } = TuttiError.from(error);
      if (code !== "INVALID_ARGUMENT" || !column.isOptional) throw error;
      note(`Without ${column.title}: ${message}`);
      return false;
    }
  });
  if (fitting.length > 0) return { columns: fitting, masks };
  throw new UsageError("No method or sampler fits these settings and this ensemble");
}

function jobOf(
  ensemble: Ensemble,
  column: Column,
  { prompt, chosen: { settings, origins }, where }: WantedPicture,
): PictureJob {
  const seeds = seedsFrom(settings.seed, settings.batch);
  const subject = { prompt, seeds, ensemble: ensemble.name };
  const spec = newJob(subject, { ...settings, ...column.settings });
  return { spec, origins, ...(where !== undefined && { where }) };
}

/** A wrong name should be told before anything is drawn. */
async function checkOut(out: string): Promise<void> {
  if (![".png", ".svg"].includes(extname(out).toLowerCase())) {
    throw new UsageError(`--out must end in ".png" or ".svg": current value is "${out}"`);
  }
  const folder = dirname(out);
  if (!await isFolder(folder)) {
    throw new UsageError(`--out must lie in a folder that exists: "${folder}" is none`);
  }
}

async function writeSheet(out: string, svg: string): Promise<void> {
  const isSvg = extname(out).toLowerCase() === ".svg";
  const bytes = isSvg ? new TextEncoder().encode(svg) : await sheetPng(svg);
  try {
    await writeWholeFile(out, bytes);
  } catch (cause) {
    throw new TuttiError("UNKNOWN", `Cannot write "${out}": ${(cause as Error).message}`, {
      cause,
    });
  }
}
