/** `tutti eval`: a suite of prompts, seeds and methods, drawn, scored and compared. @module */

import { Command } from "commander";
import { join, resolve } from "node:path";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import { FormatError, UsageError } from "../../shared/errors.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { shortenHelp } from "../../shared/terminal/grouped_help.ts";
import { headingOf } from "../../shared/terminal/help_groups.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { userDefaults } from "../cluster/user_defaults.ts";
import { ensemblePlan } from "../ensemble/ensemble_plan.ts";
import type { Judges } from "../evaluation/judges/judge.ts";
import { openJudges } from "../evaluation/judges/open_judges.ts";
import { agreementText, tableCells, tableTitles } from "../evaluation/suite/report_markdown.ts";
import { runSuite } from "../evaluation/suite/run_suite.ts";
import { ScoreFile } from "../evaluation/suite/score_file.ts";
import { referencePictures } from "../evaluation/suite/set_distances.ts";
import { readSuite, type Suite } from "../evaluation/suite/suite_file.ts";
import { checkSame, suitePictures, suiteRows } from "../evaluation/suite/suite_pictures.ts";
import { writeReports } from "../evaluation/suite/write_reports.ts";
import { holdRun } from "../training/hold_run.ts";
import { commandNotes } from "./command_notes.ts";
import {
  addExpertOptions,
  addReachOptions,
  type DrawingFlags,
  openToDraw,
} from "./drawing_ensemble.ts";
import { onInterrupt } from "./interrupt.ts";
import { addJobOptions, commonFlags, givenSettings, type JobFlags } from "./job_options.ts";
import { checkJobs, masksOf, readWishes, wantedPicture } from "./picture_jobs.ts";
import { patienceOf } from "./wait_option.ts";

interface EvalFlags extends DrawingFlags, JobFlags {
  readonly suite: string;
  readonly out: string;
  readonly json: boolean;
}

/** Those of the short help, beside settings. */
const COMMON_FLAGS = ["--suite", "--out", "--ensemble", "--workers", "--sabw", "--device"];

const EXAMPLES = `
A suite is a TOML file:

  prompts = "prompts.txt"            # one a line
  seeds = [1, 2, 3, 4]
  methods = ["afa", "average", "only:photo"]
  steps = [20, 50]                   # optional
  reference = "photos"               # optional: a folder of pictures, for FID, KID, CMMD and others

  [judges]                           # networks of yours, each optional: folders as hubs have them
  clip = "models/clip-vit-large-patch14"
  aesthetic = "models/sac+logos+ava1-l14-linearMSE.pth"
  pickscore = "models/PickScore_v1"
  hpsv2 = "models/hpsv2"
  image_reward = "models/ImageReward"
  inception = "models/pt_inception-2015-12-05.pth"
  dinov2 = "models/dinov2-large"

The first method is what the others are held against, picture by picture of the same prompt and seed. Begun again with the
same --out it goes on where it was. The folder gets pictures, scores.jsonl, report.json, report.md and report.html.

Examples:
  tutti eval --suite suite.toml --ensemble castles.toml
  tutti eval --suite suite.toml --ensemble castles.toml --out eval-ddim --sampler ddim --guidance 5
  tutti eval --suite suite.toml --workers gpu-1:7070,gpu-2:7070 --json`;

export function evalCommand(): Command {
  const command = addExpertOptions(
    new Command("eval")
      .summary("draw a suite of prompts by several methods and let networks of yours judge them")
      .description(
        "Draws each prompt of a suite with each seed by each method, scores every picture, and compares the methods.",
      )
      .requiredOption("--suite <file>", "what is to be drawn in which ways, and who judges it"),
  );
  addJobOptions(command)
    .optionsGroup(headingOf("Basics"))
    .option("--out <folder>", "where pictures, scores and reports go", "eval");
  addReachOptions(command)
    .optionsGroup(headingOf("Reports"))
    .option("--json", "print the report as one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: EvalFlags) => runEval(flags));
  return shortenHelp(command, [...commonFlags(), ...COMMON_FLAGS]);
}

async function runEval(flags: EvalFlags): Promise<void> {
  const { terminal, note, warn } = commandNotes(flags);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  refuseContradictions(flags);
  const suite = await readSuite(flags.suite);
  const wishes = await readWishes([], suite.prompts);
  const plan = await ensemblePlan(flags);
  const context = {
    ...{ defaults: plan.defaults, user: await userDefaults(), given: givenSettings(flags) },
  };
  const wanted = wishes.map((wish) => wantedPicture(wish, context));
  const nats = await natsOptions(flags, "tutti eval");
  const out = resolve(flags.out);
  using _held = await holdRun(out);

  const { device } = await chooseDevice(flags.device);
  await using judges = await openJudges(suite.judges, {
    ...{ device, threads: navigator.hardwareConcurrency },
  });
  const real = await realPictures(suite, judges);
  const { chosen } = wanted[0]!;
  const opened = await openToDraw({ plan, flags, chosen, nats, note, warn, signal });
  await using ensemble = opened.ensemble;

  const rows = suiteRows(suite, chosen.settings.steps);
  const pictures = suitePictures(suite, rows, wanted, ensemble);
  const masks = await masksOf(suite.methods);
  checkJobs(ensemble, pictures.map(({ spec }) => ({ spec, origins: chosen.origins })), masks);
  await checkSame(out, ensemble, pictures);

  const scores = await ScoreFile.open(join(out, "scores.jsonl"));
  using progress = new Progress({
    label: "Drawing",
    total: pictures.reduce((sum, { spec }) => sum + spec.steps, 0),
    terminal,
    now: () => performance.now(),
    isSilent: flags.json,
  });
  await runSuite(pictures, {
    ...{ folder: out, scores, judges: judges.ofPictures },
    run: { ensemble, masks, signal, warn, patience: patienceOf(flags, note, signal) },
    onProgress: (steps, picture) => {
      progress.update(steps, `Drawing ${pictures.indexOf(picture) + 1} of ${pictures.length}`);
    },
  });
  progress[Symbol.dispose]();
  using looking = new Progress({
    label: "Looking at pictures",
    total: (real?.length ?? 0) + pictures.length,
    terminal,
    now: () => performance.now(),
    isSilent: flags.json || real === undefined,
  });
  const report = await writeReports(out, {
    ...{ suite, rows, judges, real, scores, signal },
    onProgress: (done) => looking.update(done),
    ensemble: ensemble.name,
    prompts: wanted.map(({ prompt }) => prompt),
  });
  looking[Symbol.dispose]();
  if (flags.json) return printJson(report);
  printLine(formatTable(tableTitles(report), tableCells(report)));
  const agrees = agreementText(report.agreement);
  if (agrees !== undefined) printLine(agrees);
  printLine(`Report: ${join(flags.out, "report.html")}`);
}

/** What the suite says, no flag says. */
function refuseContradictions({ method, seed, batch }: EvalFlags): void {
  const given = Object.entries({ method, seed, batch }).find(([, value]) => value !== undefined);
  if (given === undefined) return;
  throw new UsageError(
    `--${given[0]} and --suite contradict each other: methods and seeds stand in the suite`,
  );
}

/** Paths of those that sets are compared with; undefined where none are. */
async function realPictures(
  { reference }: Suite,
  { ofSets }: Judges,
): Promise<readonly string[] | undefined> {
  if (reference === undefined) return undefined;
  if (ofSets.length > 0) return await referencePictures(reference);
  throw new FormatError(
    '"reference" needs a judge of sets: clip, inception or dinov2 in [judges]',
  );
}
