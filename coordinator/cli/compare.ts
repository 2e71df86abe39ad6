/** `tutti compare`: a trained SABW against what needs no training, on data that it was not trained with. @module */

import { Command } from "commander";
import { UsageError } from "../../shared/errors.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { aggregationPlan } from "../sampling/aggregation_plan.ts";
import {
  type BaselineComparison,
  compareBaselines,
  type CompareRequest,
  evaluationCount,
} from "../training/compare_baselines.ts";
import { heldOutRows } from "../training/held_out.ts";
import { commandNotes } from "./command_notes.ts";
import {
  addComputeOptions,
  addExpertOptions,
  addPartOptions,
  type DataEnsembleFlags,
  openWithData,
  prepareImages,
} from "./data_ensemble.ts";
import { cacheOption, latentsOption, seedOption, trainingSizeOption } from "./data_options.ts";
import { wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { hedgeOption } from "./replica_flags.ts";
import { comparisonTable, usageTable } from "./train_report.ts";

interface CompareFlags extends DataEnsembleFlags {
  readonly sabw?: string;
  readonly images: number;
  readonly drawsPerImage: number;
  readonly batch: number;
  readonly greedy: boolean;
  readonly json: boolean;
}

const EXAMPLES = `
All losses are taken at the same draws of timestep and noise, so that they can be compared draw by draw: an interval that does not hold 0
is a difference. An expert alone is SABW with all weight on it at every block: VAE, scheduler and text path are the same.
With --greedy there is one control more: the best expert of each block, chosen on these very draws (it takes as many
measurements as there are blocks, times the experts but one).

Examples:
  tutti compare --local --data held-out
  tutti compare --ensemble castles.toml --sabw castles-sabw/sabw --data held-out.jsonl --greedy`;

export function compareCommand(): Command {
  const command = addExpertOptions(
    new Command("compare")
      .summary("compare a trained SABW with averaging, each expert, and one expert per block")
      .description(
        "Compares a trained SABW with what needs no training, by the loss on held-out data.",
      ),
  )
    .option("--sabw <folder>", "trained aggregators (default: the ensemble's)")
    .requiredOption("--data <path>", "folder, or file of JSON lines, as for tutti train")
    .option("--images <n>", "most images that are used", wholeNumber("--images"), 64)
    .option(
      "--draws-per-image <n>",
      "draws of timestep and noise for each",
      wholeNumber("--draws-per-image"),
      4,
    )
    .option("--batch <n>", "draws that are computed together", wholeNumber("--batch"), 8)
    .option("--greedy", "also compare with the best expert of each block", false)
    .addOption(seedOption())
    .addOption(trainingSizeOption())
    .addOption(latentsOption())
    .addOption(cacheOption());
  return addComputeOptions(addPartOptions(command), "VAE and SABW")
    .addOption(hedgeOption())
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: CompareFlags) => runCompare(flags));
}

async function runCompare(flags: CompareFlags): Promise<void> {
  const { note, warn } = commandNotes(flags);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const plan = await ensemblePlan(flags);
  const nats = await natsOptions(flags, "tutti compare");
  if (plan.sabw.kind === "uniform") throw noSabw();
  const context = { nats, note, warn, signal };
  const { ensemble: opened, records } = await openWithData(plan, flags, context);
  await using ensemble = opened;
  const data = await prepareImages(ensemble, records, flags, context);
  const names = ensemble.members.map(({ name }) => name);
  const { experts, sabw } = ensemble;
  if (!sabw) throw noSabw();
  const heldOut = heldOutRows(data.rows, data.examples, flags.seed, flags.drawsPerImage);
  const request = {
    experts,
    names,
    sabw: sabw.aggregator,
    rows: data.rows,
    heldOut,
    signal,
    greedy: flags.greedy,
    plan: aggregationPlan(experts[0]!.description.blocks, sabw.aggregatedBlocks),
    microBatch: flags.batch,
  };
  report(await compareWith(request, flags.json), names, heldOut.length, flags);
}

function noSabw(): UsageError {
  return new UsageError("There is no trained SABW to compare: --sabw FOLDER names one");
}

/** With a bar that ends before the result is printed. */
async function compareWith(
  request: Omit<CompareRequest, "onProgress">,
  isSilent: boolean,
): Promise<BaselineComparison> {
  using progress = new Progress({
    ...{ label: "Comparing", total: evaluationCount(request), terminal: stderrTerminal() },
    ...{ now: () => performance.now(), isSilent },
  });
  return await compareBaselines({ ...request, onProgress: (done) => progress.update(done) });
}

function report(
  { comparisons, usage, choices }: BaselineComparison,
  names: readonly string[],
  draws: number,
  { json, seed }: CompareFlags,
): void {
  const chosen = choices && [...choices].map(([block, i]) => [block, names[i]!] as const);
  if (json) {
    const best = chosen && { bestOfBlocks: Object.fromEntries(chosen) };
    printJson({ draws, seed: String(seed), comparisons, usage: usage.blocks(), ...best });
    return;
  }
  printLine(`Loss at ${draws} draws:\n${comparisonTable(comparisons)}\n`);
  if (chosen) {
    printLine(`Best of each block: ${chosen.map((entry) => entry.join(" ")).join(", ")}\n`);
  }
  printLine(`Mean attention per expert:\n${usageTable(usage, names)}`);
}
