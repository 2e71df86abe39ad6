/** `tutti bench scale`: time, bytes and memory of 1 to N experts. @module */

import { formatTable } from "../../../shared/terminal/table.ts";
import type { BenchModelName } from "../../bench/bench_model.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { benchScale, scaleRoom } from "../../bench/scale_bench.ts";
import { readable } from "../../bench/format_figure.ts";
import { wholeNumber } from "../flags.ts";
import { defineBench } from "./bench_entry.ts";
import { right } from "./figures_table.ts";
import {
  batchOption,
  familyOption,
  type ImageSize,
  MODEL_NOTES,
  shapeName,
  sizeOption,
  threadsOption,
  writeModels,
} from "./model_options.ts";

interface ScaleFlags {
  readonly family: BenchModelName;
  readonly size: ImageSize;
  readonly batch: number;
  readonly threads: number;
  readonly experts: number;
  readonly steps: number;
}

const NOTES =
  `Every expert has a worker of one thread; with more workers than cores they share them. Times are of the slowest expert,
bytes of tensors to and from all. Memory is private pages and shared memory, of a worker the median of all, of the coordinator what
an empty one holds and what this ensemble adds.

${MODEL_NOTES}

Examples:
  tutti bench scale
  tutti bench scale --family sd15 --experts 3 --steps 3 --json`;

export const scaleBench = defineBench<ScaleFlags>({
  name: "scale",
  summary: "time, bytes and memory of 1 to N experts",
  description: "Measures how time, bytes and memory grow with the number of experts.",
  notes: NOTES,
  options: (command) =>
    command
      .addOption(familyOption().default("sd15-half"))
      .option("--experts <n>", "models of the largest ensemble", wholeNumber("--experts"), 6)
      .option("--steps <n>", "steps to measure with each number", wholeNumber("--steps"), 5)
      .addOption(sizeOption(256))
      .addOption(batchOption())
      .addOption(threadsOption("threads of the coordinator")),
  full: { args: [], minutes: 5 },
  toy: ["--family", "toy", "--size", "64", "--experts", "2", "--steps", "1", "--threads", "1"],
  run: async ({ family, size, batch, threads, experts, steps }, context) => {
    const shape = shapeName(family, size);
    await using models = await writeModels(family, experts, context, scaleRoom(family, experts));
    const total = experts * (steps + 1);
    using progress = context.progress(`1 to ${experts} experts`, total);
    const figures = await benchScale(models, {
      ...{ ...size, batch, threads, steps, signal: context.signal },
      name: `scale.${shape}`,
      onRun: (done, _, number) => progress.update(done, `${number} of ${experts} experts`),
    });
    progress.update(total);
    progress.stop();
    return { figures, text: scaleText(figures) };
  },
});

/** A row a number of experts. */
function scaleText(figures: readonly BenchFigure[]): string {
  const byName = new Map(figures.map((figure) => [figure.name, figure]));
  const parts = [
    ...["compute", "queue", "wire", "aggregate", "sent", "received"],
    ...["worker-memory", "coordinator-memory"],
  ];
  const rows = figures.filter(({ conditions }) => conditions !== undefined).map((figure) => [
    figure.name,
    readable(figure),
    ...parts.map((part) => readable(byName.get(`${figure.name}.${part}`)!)),
  ]);
  const titles = ["step", ...parts.map((part) => part.replace("-", " "))];
  return formatTable(["", ...titles.map(right)], rows);
}
