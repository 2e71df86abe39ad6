/** `tutti screen`: how much an ensemble's experts can gain from being combined, before anything is trained. @module */

import { Command } from "commander";
import { UsageError } from "../../shared/errors.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { agreedSchedule } from "../ensemble/agreed_schedule.ts";
import { ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { headroom, screen, type ScreenResult } from "../training/screen.ts";
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

interface ScreenFlags extends DataEnsembleFlags {
  readonly images: number;
  readonly timesteps: number;
  readonly draws: number;
  readonly json: boolean;
}

const EXAMPLES = `
Every expert predicts the noise of the same noisy latents. For each element of the prediction, all draws of noise but one vote which expert is
nearest; the winner is applied to the draw that did not vote. What this router saves of the best single expert's loss is headroom that a trained
SABW can learn; below about 2 % training is hardly worth its time.

Examples:
  tutti screen --data pictures
  tutti screen --ensemble castles.toml --data castles.jsonl --images 64 --json`;

export function screenCommand(): Command {
  const command = addExpertOptions(
    new Command("screen")
      .summary("tell how much an ensemble's experts can gain, before training")
      .description("Measures how much the experts of an ensemble can gain from being combined."),
  )
    .requiredOption("--data <path>", "folder, or file of JSON lines, as for tutti train")
    .option("--images <n>", "most images that are used", wholeNumber("--images"), 32)
    .option("--timesteps <n>", "timesteps per image", wholeNumber("--timesteps"), 4)
    .option(
      "--draws <n>",
      "draws of noise per timestep; all but one vote",
      wholeNumber("--draws", 2),
      5,
    )
    .addOption(seedOption())
    .addOption(trainingSizeOption())
    .addOption(latentsOption())
    .addOption(cacheOption());
  return addComputeOptions(addPartOptions(command), "the VAE")
    .addOption(hedgeOption())
    .option("--json", "print one JSON object instead of text", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: ScreenFlags) => runScreen(flags));
}

async function runScreen(flags: ScreenFlags): Promise<void> {
  const { terminal, note, warn } = commandNotes(flags);
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const plan = { ...await ensemblePlan(flags), sabw: { kind: "uniform" } as const };
  const nats = await natsOptions(flags, "tutti screen");
  if (plan.experts.length < 2) throw new UsageError("Screening compares two experts or more");
  const context = { nats, note, warn, signal };
  const { ensemble: opened, records } = await openWithData(plan, flags, context);
  await using ensemble = opened;
  const data = await prepareImages(ensemble, records, flags, context);
  let result: ScreenResult | undefined;
  {
    using progress = new Progress({
      ...{ label: "Screening", total: data.examples.length, terminal, isSilent: flags.json },
      now: () => performance.now(),
    });
    let done = 0;
    const request = {
      ...{ experts: ensemble.experts, rows: data.rows, examples: data.examples, signal },
      ...{ timestepsPerExample: flags.timesteps, draws: flags.draws, seed: flags.seed },
      numTrainTimesteps: agreedSchedule(ensemble).config.numTrainTimesteps,
    };
    for await (result of screen(request)) progress.update(++done);
  }
  const names = ensemble.members.map(({ name }) => name);
  report(result!, names, data.examples.length, flags);
}

function report(
  result: ScreenResult,
  names: readonly string[],
  images: number,
  { json, timesteps, draws, seed }: ScreenFlags,
): void {
  const percent = headroom(result);
  if (json) {
    const experts = names.map((name, i) => ({
      ...{ name, loss: result.experts[i], wins: result.wins[i] },
    }));
    const { router, averaging } = result;
    printJson({
      headroomPercent: percent,
      router,
      averaging,
      experts,
      images,
      timesteps,
      draws,
      seed,
    });
    return;
  }
  const rows = [
    ...names.map((name, i) => [
      `${name} alone`,
      result.experts[i]!.toFixed(5),
      `${(100 * result.wins[i]!).toFixed(1)} %`,
    ]),
    ["averaging the noise", result.averaging.toFixed(5)],
    ["cross-seed router", result.router.toFixed(5)],
  ];
  const right = (title: string) => ({ title, align: "right" as const });
  printLine(formatTable(["", right("loss"), right("wins")], rows));
  const meaning = percent >= 2
    ? "worth training: the experts are better at different things"
    : "hardly worth training: what one does better than another does not last from one noise to the next";
  printLine(`\nHeadroom over the best single expert: ${percent.toFixed(2)} % (${meaning})`);
}
