/** `tutti train`: trains SABW for an ensemble's experts. @module */

import { Command } from "commander";
import { join } from "node:path";
import { openBackend } from "../../shared/device/backend.ts";
import { UsageError } from "../../shared/errors.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { SabwAggregator } from "../sampling/methods/sabw/sabw_aggregator.ts";
import { ADAMW_DEFAULTS } from "../training/adamw.ts";
import { type BaselineComparison, compareBaselines } from "../training/compare_baselines.ts";
import type { DataRecords } from "../training/dataset/records.ts";
import { holdRun } from "../training/hold_run.ts";
import { PASS_PARTS, PassTimes } from "../training/pass_times.ts";
import { type PreparedTraining, prepareTraining } from "../training/prepare_training.ts";
import {
  runTraining,
  type TrainingEvent,
  type TrainingResult,
  type TrainingRun,
} from "../training/run_training.ts";
import { checkRunFolder } from "../training/run_folder.ts";
import { commandNotes } from "./command_notes.ts";
import { openWithData } from "./data_ensemble.ts";
import { onInterrupt } from "./interrupt.ts";
import { addTrainOptions, type TrainFlags } from "./train_options.ts";
import {
  comparisonTable,
  dataSummary,
  timesTable,
  type TrainingTotals,
  usageTable,
  writeReport,
} from "./train_report.ts";
import { trainingCache } from "./training_cache.ts";
import { dtypeOptions } from "./transport_flags.ts";

const EXAMPLES = `
Data is a file of JSON lines {"image_file": "a.png", "text": "what it shows"}, a folder with such a file captions.jsonl
(or metadata.jsonl with "file_name"), or a folder with a.png and a.txt or a.caption. Images are PNG, JPEG or WebP; the shorter side is resized (bilinear with antialiasing), a square is cut out at random.

The folder of --out gets sabw/ (for \`tutti sample --sabw\`), checkpoints/, loss.svg and report.json. Latents and text
states are kept in the cache folder, so the next run starts at once.

Examples:
  tutti train --local --data pictures --out castles-sabw
  tutti train --ensemble castles.toml --data castles.jsonl --out castles-sabw --steps 2000 --patience 5
  tutti train --ensemble castles.toml --data castles.jsonl --out castles-sabw --resume
  tutti sample "a castle" --ensemble castles.toml --sabw castles-sabw/sabw`;

export function trainCommand(): Command {
  const command = new Command("train")
    .summary("train the aggregators (SABW) of an ensemble")
    .description(
      "Trains SABW for an ensemble: its experts stay as they are, and where they are. Without --ensemble and --workers it takes the experts that come with Tutti.",
    );
  return addTrainOptions(command)
    .addHelpText("after", EXAMPLES)
    .action((flags: TrainFlags) => runTrain(flags));
}

async function runTrain(flags: TrainFlags): Promise<void> {
  if (flags.hiddenSize % flags.heads !== 0) {
    throw new UsageError(
      `--heads must divide --hidden-size ${flags.hiddenSize}: current value is ${flags.heads}`,
    );
  }
  const { note, warn } = commandNotes(flags);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const plan = { ...await ensemblePlan(flags), sabw: { kind: "uniform" } as const };
  const nats = await natsOptions(flags, "tutti train");
  const context = { nats, note, warn, signal };
  using _held = await holdRun(flags.out);
  await checkRunFolder(flags.out, flags.resume);
  const { ensemble: opened, records, device } = await openWithData(plan, flags, context);
  await using ensemble = opened;
  const compute = { ...await openBackend(device), threads: navigator.hardwareConcurrency };
  await using prepared = await prepare(ensemble, records, flags, { compute, signal });
  const summary = dataSummary(prepared);
  for (const warning of summary.warnings) warn(warning);
  if (flags.json) printJson({ event: "data", ...summary.json });
  else note(summary.text);

  const times = new PassTimes();
  const start = performance.now();
  const { ensemble: evaluated } = prepared.run;
  const { updates, heldOutMs, ...result } = await watch(
    { ...prepared.run, ensemble: times.over(evaluated), evaluated },
    flags,
  );
  const trainingMs = performance.now() - start;
  const images = updates * flags.batch;
  const names = ensemble.members.map(({ name }) => name);
  const { comparisons, usage } = await compare(prepared.run, result, names, { compute, signal });
  const { skipped } = prepared;
  await writeReport(flags.out, prepared.run, { ...result, usage }, { names, comparisons, skipped });
  if (flags.json) {
    printJson({
      ...{ event: "done", steps: result.steps, sabw: result.sabw, trainingMs },
      ...{ isStoppedEarly: result.isStoppedEarly, comparisons, usage: usage.blocks() },
      ...(flags.stats && {
        stats: Object.fromEntries(PASS_PARTS.map((part) => [part, times.get(part)])),
        ...{ heldOutMs, images },
      }),
    });
    return;
  }
  note(`${updates} steps in ${formatDuration(trainingMs)}`);
  if (flags.stats) printLine(`${timesTable(times, { trainingMs, heldOutMs, images })}\n`);
  if (usage.blocks().length > 0) {
    printLine(`Mean attention per expert:\n${usageTable(usage, names)}\n`);
  }
  if (comparisons.length > 0) {
    printLine(
      `Held-out loss (${prepared.run.heldOut.length} draws):\n${comparisonTable(comparisons)}\n`,
    );
  }
  printLine(`${result.sabw} (the curve: ${join(flags.out, "loss.svg")})`);
}

type Computing = Pick<Parameters<typeof prepareTraining>[2], "compute"> & {
  readonly signal: AbortSignal;
};

async function prepare(
  ensemble: Ensemble,
  data: DataRecords,
  flags: TrainFlags,
  computing: Computing,
): Promise<PreparedTraining> {
  let progress: Progress | undefined;
  try {
    return await prepareTraining(ensemble, {
      ...{ data, out: flags.out, steps: flags.steps, batch: flags.batch },
      microBatch: Math.min(flags.batch, flags.microBatch ?? flags.batch),
      adamw: { ...ADAMW_DEFAULTS, learningRate: flags.lr, weightDecay: flags.weightDecay },
      ...{
        cooldown: flags.cooldown,
        dropText: flags.dropText,
        seed: flags.seed,
        aggregatedBlocks: flags.aggregate,
      },
      sabwSize: {
        hiddenSize: flags.hiddenSize,
        numLayers: flags.layers,
        numHeads: flags.heads,
        ...(flags.temperature !== 1 && { temperature: flags.temperature }),
        ...(flags.without && { without: flags.without }),
      },
      ...(flags.size !== undefined && { size: flags.size }),
      ...(flags.latents !== undefined && { latents: flags.latents }),
      ...(flags.holdOut !== undefined && { holdOut: flags.holdOut }),
      ...(flags.patience !== undefined && { patience: flags.patience }),
      penalties: { balance: flags.balance, certainty: flags.certainty },
      ...{ drawsPerImage: flags.drawsPerImage, evaluateEvery: flags.evaluateEvery },
      ...{ checkpointEvery: flags.checkpointEvery, keep: flags.keep, isResumed: flags.resume },
      sabwDType: flags.sabwDtype,
      transport: dtypeOptions(flags),
      cache: flags.cache ?? trainingCache(),
    }, {
      ...computing,
      onProgress: (done, total) => {
        progress ??= newProgress("Encoding images", total, flags.json);
        progress.update(done);
      },
    });
  } finally {
    progress?.stop();
  }
}

function newProgress(label: string, total: number, isSilent: boolean): Progress {
  const now = () => performance.now();
  return new Progress({ label, total, terminal: stderrTerminal(), now, isSilent });
}

/** Tells of a run while it goes on. @returns also what this process did of it: after `--resume` that is not all */
async function watch(
  run: TrainingRun,
  { json }: TrainFlags,
): Promise<TrainingResult & Pick<TrainingTotals, "heldOutMs"> & { readonly updates: number }> {
  using progress = newProgress("Training", run.steps, json);
  const events = runTraining(run);
  let [updates, heldOutMs] = [0, 0];
  for (;;) {
    const { done, value } = await events.next();
    if (done) return { ...value, updates, heldOutMs };
    if (value.event === "step") updates++;
    if (value.event === "heldOut") heldOutMs += value.elapsedMs;
    if (json) printJson(value);
    else show(progress, value);
  }
}

function show(progress: Progress, event: TrainingEvent): void {
  switch (event.event) {
    case "step":
      progress.update(
        event.step,
        `loss ${event.loss.toFixed(4)}, ${event.samplesPerSecond.toFixed(1)} images/s`,
      );
      break;
    case "heldOut":
      progress.note(
        `step ${event.step}: held-out loss ${event.loss.toFixed(5)}${
          event.isBest ? ", the least so far" : ""
        }`,
      );
      break;
    case "checkpoint":
      break;
  }
}

/** The chosen weights as sampling would use them, against what needs no training. */
async function compare(
  run: TrainingRun,
  { sabw: folder, usage }: TrainingResult,
  names: readonly string[],
  { compute, signal }: Computing,
): Promise<BaselineComparison> {
  if (run.heldOut.length === 0) return { comparisons: [], usage };
  const { experts, plan } = run.ensemble;
  const shared = { ...experts[0]!.description, numExperts: experts.length };
  const sabw = await SabwAggregator.open(folder, shared, compute);
  try {
    return await compareBaselines({
      ...{ experts, names, sabw, plan, rows: run.rows, heldOut: run.heldOut },
      ...{ microBatch: run.microBatch, signal },
    });
  } finally {
    await sabw.close();
  }
}
