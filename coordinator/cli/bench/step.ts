/** `tutti bench step`: seconds per U-Net call, and where they go. @module */

import { BUNDLED_EXPERT } from "../../../shared/project_files.ts";
import type { BenchModelName } from "../../bench/bench_model.ts";
import { MATRIX_SIZE } from "../../bench/matrix_rate.ts";
import { benchStep } from "../../bench/step_bench.ts";
import { wholeNumber } from "../flags.ts";
import { defineBench } from "./bench_entry.ts";
import {
  addOneModelOptions,
  batchOption,
  type ImageSize,
  MODEL_NOTES,
  modelConditions,
  oneModel,
  sizeOption,
  threadsOption,
} from "./model_options.ts";
import { stepFigures, stepText } from "./step_output.ts";

interface StepFlags {
  readonly model?: string;
  readonly family?: BenchModelName;
  readonly config?: string;
  readonly size: ImageSize;
  readonly batch: number;
  readonly threads: number;
  readonly steps: number;
  readonly matrix: number;
}

const NOTES =
  `Times whole U-Net calls in this process. The rate of convolutions and matrix products is given as a share of the
machine's best product of two large matrices, measured before, between and after the steps.

${MODEL_NOTES}

Examples:
  tutti bench step --family sd15 --size 512
  tutti bench step --model photo.safetensors --size 256 --threads 2
  tutti bench step --family sdxl --size 512 --json | jq 'select(.name == "step")'`;

export const stepBench = defineBench<StepFlags>({
  name: "step",
  summary: "seconds per U-Net call, and where they go",
  description: "Measures one U-Net call with guidance, and where its time goes.",
  notes: NOTES,
  options: (command) =>
    addOneModelOptions(command)
      .option("--steps <n>", "steps to time, after a first one", wholeNumber("--steps"), 3)
      .option(
        "--matrix <n>",
        "side of the matrices whose product is the measure",
        wholeNumber("--matrix"),
        MATRIX_SIZE,
      )
      .addOption(sizeOption(512))
      .addOption(batchOption())
      .addOption(threadsOption("threads that compute")),
  full: { args: ["--family", "sd15", "--size", "512"], minutes: 2.5 },
  toy: ["--model", BUNDLED_EXPERT, "--size", "64", "--steps", "1", "--matrix", "64"],
  run: async (flags, context) => {
    const { size, batch, threads, steps, matrix } = flags;
    await using model = await oneModel("step", flags, context);
    using progress = context.progress("Steps", steps + 1);
    const report = await benchStep({
      ...{ ...size, batch, threads, steps, matrixSize: matrix, signal: context.signal },
      model: model.path,
      ...(model.configFrom !== undefined && { configFrom: model.configFrom }),
      onStep: (step) => progress.update(step, step === 0 ? "Loading" : "Steps"),
    });
    progress.update(steps + 1);
    progress.stop();
    const conditions = modelConditions(flags);
    const figures = stepFigures(report).map((figure) => ({ ...figure, conditions }));
    return { figures, text: stepText(report) };
  },
});
