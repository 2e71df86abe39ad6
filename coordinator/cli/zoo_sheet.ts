/** `tutti zoo sheet`: what each bundled expert, averaging and AFA draw of the same captions with the same seeds. @module */

import { dirname } from "node:path";
import { Command, Option } from "commander";
import { UsageError } from "../../shared/errors.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { f32 } from "../../shared/tensor/tensor.ts";
import { openEnsemble } from "../ensemble/ensemble.ts";
import { type EnsemblePlan, ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { imageToRgb } from "../image/pixels.ts";
import type { RgbImage } from "../image/resize.ts";
import { newJob } from "../jobs/job_spec.ts";
import { isFolder } from "../jobs/output_paths.ts";
import { type DrawnImages, runJob } from "../jobs/run_job.ts";
import { MAX_STEPS } from "../settings/limits.ts";
import { sheetPng, type SheetRow, sheetSvg } from "../zoo/contact_sheet.ts";
import { SHEET_CAPTIONS } from "../zoo/sheet_captions.ts";
import { finiteNumber, seed, wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { seedsFrom } from "./job_options.ts";

interface SheetFlags {
  readonly ensemble?: string;
  readonly sabw?: string;
  readonly seed: bigint;
  readonly seeds: number;
  readonly steps: number;
  readonly guidance: number;
  readonly json: boolean;
}

/** Height and width of a picture on the sheet: twice the experts' own. */
const PICTURE_SIZE = 128;

const EXAMPLES = `
Examples:
  tutti zoo sheet sheet.png
  tutti zoo sheet sheet.svg --sabw run/sabw --seed 7 --seeds 3`;

export function sheetCommand(): Command {
  return new Command("sheet")
    .summary("draw a contact sheet: each expert, averaging and AFA at the same captions and seeds")
    .description(
      "Draws captions of each bundled expert's own world, and mixed ones, by each expert alone, by averaging and by AFA with the same seeds, into one labelled grid.",
    )
    .argument("<out>", "a .png or .svg file")
    .option("--ensemble <file>", "ensemble file (default: the experts that come with Tutti)")
    .option("--sabw <folder>", "trained aggregators (default: the ensemble's)")
    .addOption(
      // Told as text: help cannot print a bigint by itself.
      new Option("--seed <n>", "the first seed").argParser(seed("--seed")).default(1n, "1"),
    )
    .option("--seeds <n>", "pictures per caption and column", wholeNumber("--seeds"), 2)
    .option("--steps <n>", "denoising steps", wholeNumber("--steps", 1, MAX_STEPS), 25)
    .option("--guidance <scale>", "classifier-free guidance", finiteNumber("--guidance"), 5)
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((out: string, flags: SheetFlags) => runSheet(out, flags));
}

async function runSheet(out: string, flags: SheetFlags): Promise<void> {
  const ending = out.split(".").at(-1);
  if (ending !== "png" && ending !== "svg") {
    throw new UsageError(`<out> must end in ".png" or ".svg": current value is "${out}"`);
  }
  const folder = dirname(out);
  if (!await isFolder(folder)) {
    throw new UsageError(`<out> must lie in a folder that exists: "${folder}" is none`);
  }
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const plans = columnPlans(await ensemblePlan(flags));
  using progress = new Progress({
    ...{
      label: "Drawing",
      total: plans.length * SHEET_CAPTIONS.length,
      terminal: stderrTerminal(),
    },
    ...{ now: () => performance.now(), isSilent: flags.json },
  });
  const columns: (readonly RgbImage[])[][] = [];
  let done = 0;
  for (const plan of plans) {
    const onDrawn = () => progress.update(++done);
    columns.push(await drawColumn(plan, flags, { onDrawn, signal }));
  }
  const rows = SHEET_CAPTIONS.map((title, r): SheetRow => ({
    title,
    cells: columns.map((column) => column[r]!),
  }));
  const names = plans.map(({ name }) => name);
  const svg = sheetSvg({ columns: names, rows, pictureSize: PICTURE_SIZE });
  await Deno.writeFile(out, ending === "svg" ? new TextEncoder().encode(svg) : await sheetPng(svg));
  progress.stop();
  if (flags.json) printJson({ out, columns: names, captions: SHEET_CAPTIONS });
  else printLine(out);
}

/** Each expert alone, all of them averaged, and with SABW where there is one. */
function columnPlans(plan: EnsemblePlan): EnsemblePlan[] {
  const uniform = { kind: "uniform" } as const;
  return [
    ...plan.experts.map((expert) => ({
      ...{ ...plan, name: `${expert.name} alone`, experts: [expert], sabw: uniform },
    })),
    { ...plan, name: "averaging", sabw: uniform },
    ...(plan.sabw.kind === "uniform" ? [] : [{ ...plan, name: "AFA" }]),
  ];
}

/** By caption, a picture per seed. */
async function drawColumn(
  plan: EnsemblePlan,
  flags: SheetFlags,
  { onDrawn, signal }: { readonly onDrawn: () => void; readonly signal: AbortSignal },
): Promise<(readonly RgbImage[])[]> {
  await using ensemble = await openEnsemble(plan, { isLocal: true, signal });
  const cells: (readonly RgbImage[])[] = [];
  for (const prompt of SHEET_CAPTIONS) {
    const drawn = await runJob({
      ensemble,
      spec: newJob(
        { prompt, seeds: seedsFrom(flags.seed, flags.seeds), ensemble: plan.name },
        { promptSyntax: "plain", steps: flags.steps, guidance: flags.guidance },
      ),
      warn: () => {},
      signal,
    });
    cells.push(picturesOf(drawn));
    onDrawn();
  }
  return cells;
}

function picturesOf({ images: { data, shape } }: DrawnImages): RgbImage[] {
  const [count = 0, channels = 0, height = 0, width = 0] = shape;
  const size = channels * height * width;
  return Array.from({ length: count }, (_, i) => {
    const image = f32([channels, height, width], data.subarray(i * size, (i + 1) * size));
    return { width, height, rgb: imageToRgb(image) };
  });
}
