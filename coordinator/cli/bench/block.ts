/** `tutti bench block`: each block in this process and on a worker. @module */

import { formatTable } from "../../../shared/terminal/table.ts";
import type { BenchModelName } from "../../bench/bench_model.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { benchBlocks, blockRoom } from "../../bench/block_bench.ts";
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

interface BlockFlags {
  readonly family: BenchModelName;
  readonly size: ImageSize;
  readonly batch: number;
  readonly threads: number;
  readonly rounds: number;
}

const NOTES =
  `Compute, queue, wire and bytes are of the worker. Wire is the round trip without compute and queue: serialisation,
transport, and waiting for a core. "all" is the sum over the blocks of one pass.

${MODEL_NOTES}

Examples:
  tutti bench block
  tutti bench block --family sdxl --size 512 --rounds 5 --json`;

export const blockBench = defineBench<BlockFlags>({
  name: "block",
  summary: "each block in this process and on a worker",
  description: "Measures every block through a session, in this process and on a worker.",
  notes: NOTES,
  options: (command) =>
    command
      .addOption(familyOption().default("sd15"))
      .option("--rounds <n>", "times to measure each block", wholeNumber("--rounds"), 7)
      .addOption(sizeOption(256))
      .addOption(batchOption())
      .addOption(threadsOption("threads that compute, each side")),
  full: { args: [], minutes: 3 },
  toy: ["--family", "toy", "--size", "64", "--rounds", "2", "--threads", "1"],
  run: async ({ family, size, batch, threads, rounds }, context) => {
    const shape = shapeName(family, size);
    await using models = await writeModels(family, 1, context, blockRoom(family));
    using progress = context.progress(`Blocks of ${shape}`, rounds + 1);
    const figures = await benchBlocks(models, {
      ...{ ...size, batch, threads, rounds, signal: context.signal },
      name: `block.${shape}`,
      onRound: (done) => progress.update(done),
    });
    progress.update(rounds + 1);
    progress.stop();
    return { figures, text: blockText(figures) };
  },
});

/** A row a block. */
function blockText(figures: readonly BenchFigure[]): string {
  const byName = new Map(figures.map((figure) => [figure.name, figure]));
  const titles = ["local", "remote", "ratio", "compute", "queue", "wire", "sent", "received"];
  const rows = figures.filter(({ pair }) => pair !== undefined).map((figure) => [
    figure.name,
    readable(figure.pair!.b),
    readable(figure.pair!.a),
    readable(figure),
    ...titles.slice(3).map((part) => readable(byName.get(`${figure.name}.${part}`)!)),
  ]);
  return formatTable(["", ...titles.map(right)], rows);
}
