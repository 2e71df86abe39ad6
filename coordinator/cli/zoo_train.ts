/** `tutti zoo train`: trains the models that come with Tutti, from seeds. @module */

import { Command, Option } from "commander";
import { join } from "node:path";
import { openBackend } from "../../shared/device/backend.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import { ClipTokenizer } from "../../shared/tokenizer/clip_tokenizer.ts";
import { measureRecipe, type StageTime } from "../zoo/recipes/measure_recipe.ts";
import { BUNDLED_ZOO, type Stage, STAGES, zooRecipe } from "../zoo/recipes/recipe.ts";
import { runRecipe, type ZooEvent } from "../zoo/recipes/run_recipe.ts";
import type { StageContext } from "../zoo/recipes/stage_context.ts";
import { listOf, positive, seed } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";

interface TrainFlags {
  readonly out: string;
  readonly stage?: readonly Stage[];
  readonly scale: number;
  readonly seed: bigint;
  readonly measure: boolean;
  readonly json: boolean;
}

const EXAMPLES = `
Stages in their order: vae, base (text encoder and U-Net on all shapes), round, square and pointed (experts, from base on some
shapes), sabw. Each goes on where it was interrupted, to the same bits: run the same command again. The folder of --out gets the
models and ensemble.toml; runs/STAGE holds the loss curve and report.json.

Examples:
  tutti zoo train --out zoo
  tutti zoo train --out zoo --measure
  tutti zoo train --out small --scale 0.01
  tutti zoo train --out zoo --stage vae,base
  tutti sample "a small red heart on a plain white background" --ensemble zoo/ensemble.toml`;

export function trainZooCommand(): Command {
  return new Command("train")
    .summary("train VAE, base model, three experts and SABW from seeds")
    .description(
      "Trains everything that comes with Tutti from seeds: VAE, text encoder and U-Net, three experts, SABW. Takes hours.",
    )
    .requiredOption("--out <folder>", "where the zoo is written; made if it does not exist")
    .option(
      "--stage <names>",
      `some of ${STAGES.join(",")} (default: all that are not there yet)`,
      listOf("--stage", STAGES),
    )
    .option(
      "--scale <factor>",
      "factor on steps and pictures, above 0 to 1",
      positive("--scale"),
      1,
    )
    .addOption(
      // Told as text: help cannot print a bigint by itself.
      new Option("--seed <n>", "seed of weights, data and noise").argParser(seed("--seed"))
        .default(0n, "0"),
    )
    .option("--measure", "time a few steps of each stage, tell what all take, and end", false)
    .option("--json", "print one JSON object per event", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: TrainFlags) => runTrainZoo(flags));
}

async function runTrainZoo(flags: TrainFlags): Promise<void> {
  using interrupt = onInterrupt();
  const context: StageContext = {
    recipe: await zooRecipe(flags.seed, flags.scale),
    out: flags.out,
    tokenizer: await ClipTokenizer.load(join(BUNDLED_ZOO, "tokenizer")),
    compute: { ...await openBackend("cpu"), threads: navigator.hardwareConcurrency },
    signal: interrupt.signal,
  };
  if (flags.measure) return await measure(context, flags);
  const start = performance.now();
  using watch = new Watch(flags.json);
  for await (const event of runRecipe(context, flags.stage)) watch.show(event);
  if (flags.json) printJson({ event: "end", elapsedMs: performance.now() - start });
  else {
    watch.stop();
    printLine(
      `${join(flags.out, "ensemble.toml")} in ${formatDuration(performance.now() - start)}`,
    );
  }
}

/** One bar per stage. */
class Watch implements Disposable {
  readonly #isSilent: boolean;
  #progress: Progress | undefined;
  #label = "";

  constructor(isSilent: boolean) {
    this.#isSilent = isSilent;
  }

  show(event: ZooEvent): void {
    if (this.#isSilent) return printJson(event);
    switch (event.event) {
      case "there":
        stderrTerminal().write(`${event.stage}: is there\n`);
        break;
      case "prepare":
        this.#bar(`${event.what} for ${event.stage}`, event.total).update(event.done);
        break;
      case "step":
        this.#bar(`Training ${event.stage}`, event.steps)
          .update(event.step, `${event.stage}: loss ${event.loss.toFixed(4)}`);
        break;
      case "done":
        this.stop();
        for (const [name, value] of Object.entries(event.quality)) {
          printLine(`${event.stage}: ${name}: ${value.toFixed(4)}`);
        }
    }
  }

  stop(): void {
    this.#progress?.stop();
    this.#progress = undefined;
    this.#label = "";
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #bar(label: string, total: number): Progress {
    if (this.#label !== label) {
      this.stop();
      this.#label = label;
      const now = () => performance.now();
      this.#progress = new Progress({ label, total, terminal: stderrTerminal(), now });
    }
    return this.#progress!;
  }
}

async function measure(context: StageContext, { json }: TrainFlags): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "tutti-zoo-" });
  try {
    const times: StageTime[] = [];
    for await (const time of measureRecipe(context, folder)) {
      times.push(time);
      if (json) printJson(time);
      else stderrTerminal().write(`${time.stage}: ${time.wallSeconds.toFixed(2)} s a step\n`);
    }
    if (!json) printLine(timesTable(times, context.compute.threads));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** @param cores that compute */
function timesTable(times: readonly StageTime[], cores: number): string {
  const duration = (seconds: number) => formatDuration(1000 * seconds);
  const sum = (of: (time: StageTime) => number) =>
    times.reduce((total, time) => total + time.steps * of(time), 0);
  const titles = [
    "steps",
    "s/step",
    "CPU s/step",
    "as it went",
    `on ${cores} idle cores, at least`,
  ];
  const columns = ["stage", ...titles.map((title) => ({ title, align: "right" as const }))];
  const rows = times.map(({ stage, steps, wallSeconds, cpuSeconds }) => [
    ...[stage, String(steps), wallSeconds.toFixed(2), cpuSeconds.toFixed(2)],
    ...[duration(steps * wallSeconds), duration(steps * cpuSeconds / cores)],
  ]);
  const all = ["all", "", "", "", duration(sum((time) => time.wallSeconds))];
  return formatTable(columns, [...rows, [
    ...all,
    duration(sum((time) => time.cpuSeconds) / cores),
  ]]);
}
