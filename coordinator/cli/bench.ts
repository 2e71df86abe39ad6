/** `tutti bench`: time and memory on this machine. @module */

import { Command, Option } from "commander";
import type { Family } from "../../shared/checkpoint/family.ts";
import { UsageError } from "../../shared/errors.ts";
import { Progress } from "../../shared/terminal/progress.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { type BenchModel, randomUNet, randomUNetBytes } from "../bench/bench_model.ts";
import { MATRIX_SIZE } from "../bench/matrix_rate.ts";
import { benchLoad } from "../bench/load_bench.ts";
import { benchStep } from "../bench/step_bench.ts";
import { printLoadReport, printStepReport } from "./bench_output.ts";
import { ByteProgress } from "./byte_progress.ts";
import { imageSize, wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";

interface CommonFlags {
  readonly config?: string;
  readonly size: { readonly width: number; readonly height: number };
  readonly batch: number;
  readonly threads: number;
  readonly json: boolean;
}

interface LoadFlags extends CommonFlags {
  readonly model: string;
}

interface StepFlags extends CommonFlags {
  readonly model?: string;
  readonly family?: Family;
  readonly steps: number;
  readonly matrix: number;
}

const LOAD_EXAMPLES = `
Starts a real worker and lets it compute two U-Net calls. Memory is what the process holds for itself: private pages
and shared memory; pages of mapped files do not count.

Examples:
  tutti bench load --model photo.safetensors
  tutti zoo random --family sd15 /tmp/sd15.safetensors && tutti bench load --model /tmp/sd15.safetensors`;

const STEP_EXAMPLES = `
Times whole U-Net calls in this process. The rate of convolutions and matrix products is given as a share of the
machine's best product of two large matrices, measured before, between and after the steps.

Examples:
  tutti bench step --family sd15 --size 512
  tutti bench step --model photo.safetensors --size 256 --threads 2
  tutti bench step --family sdxl --size 512 --json | jq 'select(.name == "step")'`;

export function benchCommand(): Command {
  return new Command("bench")
    .summary("measure time and memory on this machine")
    .description("Measures time and memory on this machine.")
    .addCommand(loadCommand())
    .addCommand(stepCommand());
}

function loadCommand(): Command {
  const command = new Command("load")
    .summary("time and memory until a worker has computed")
    .description("Measures what a model costs a worker: time to ready, first call, memory.")
    .requiredOption("--model <path>", "diffusers folder, or single .safetensors file");
  return withCommonOptions(command, LOAD_EXAMPLES).action((flags: LoadFlags) => runLoad(flags));
}

function stepCommand(): Command {
  const command = new Command("step")
    .summary("seconds per U-Net call, and where they go")
    .description("Measures one U-Net call with guidance, and where its time goes.")
    .addOption(
      new Option("--family <family>", "a U-Net of published size with random weights")
        .choices(["sd15", "sdxl"]),
    )
    .option("--model <path>", "a model of yours: diffusers folder or single file")
    .option("--steps <n>", "steps to time, after a first one", wholeNumber("--steps"), 3)
    .option(
      "--matrix <n>",
      "side of the matrices whose product is the measure",
      wholeNumber("--matrix"),
      MATRIX_SIZE,
    );
  return withCommonOptions(command, STEP_EXAMPLES).action((flags: StepFlags) => runStep(flags));
}

function withCommonOptions(command: Command, examples: string): Command {
  return command
    .option("--config <folder>", "folder with the config.json's of a single file of unusual sizes")
    .option("--size <pixels>", "512, or 768x512 as width x height", imageSize("--size"), {
      width: 512,
      height: 512,
    })
    .option("--batch <n>", "rows of a call: two with guidance", wholeNumber("--batch"), 2)
    .option(
      "--threads <n>",
      "threads that compute (default: cores)",
      wholeNumber("--threads"),
      navigator.hardwareConcurrency,
    )
    .option("--json", "print one JSON object a line: name, value, unit", false)
    .addHelpText("after", examples);
}

async function runLoad({ model, config, size, batch, threads, json }: LoadFlags): Promise<void> {
  using interrupt = onInterrupt();
  const terminal = stderrTerminal();
  const report = await benchLoad({
    ...size,
    model,
    batch,
    threads,
    signal: interrupt.signal,
    ...(config !== undefined && { configFrom: config }),
    onPhase: (phase) => json || terminal.write(`${phase}\n`),
  });
  printLoadReport(report, json);
}

async function runStep(flags: StepFlags): Promise<void> {
  const { model, family, config, size, batch, threads, steps, matrix, json } = flags;
  if ((model === undefined) === (family === undefined)) {
    throw new UsageError("bench step needs either --family or --model");
  }
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  await using chosen = model === undefined
    ? await writeModel(family!, json, signal)
    : { path: model, [Symbol.asyncDispose]: () => Promise.resolve() };
  using progress = new Progress({
    label: "Steps",
    total: steps + 1,
    terminal: stderrTerminal(),
    now: () => performance.now(),
    isSilent: json,
  });
  const report = await benchStep({
    ...size,
    model: chosen.path,
    batch,
    threads,
    steps,
    matrixSize: matrix,
    signal,
    ...(config !== undefined && { configFrom: config }),
    onStep: (step) => progress.update(step, step === 0 ? "Loading" : "Steps"),
  });
  progress.update(steps + 1);
  progress.stop();
  printStepReport(report, json);
}

async function writeModel(
  family: Family,
  json: boolean,
  signal: AbortSignal,
): Promise<BenchModel> {
  const totalBytes = randomUNetBytes(family);
  using progress = new ByteProgress("Writing random weights", totalBytes, json);
  return await randomUNet(family, (written) => progress.update(written), signal);
}
