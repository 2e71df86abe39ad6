/** `tutti bench plane`: a tensor to another process and back, over each plane. @module */

import { Option } from "commander";
import { formatTable } from "../../../shared/terminal/table.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { readable, readableSpread } from "../../bench/format_figure.ts";
import { benchPlane } from "../../bench/plane_bench.ts";
import { BENCH_PLANES, type BenchPlane, PLANE_SIZES } from "../../bench/plane_trips.ts";
import { oneOf, wholeNumber } from "../flags.ts";
import { defineBench } from "./bench_entry.ts";
import { right } from "./figures_table.ts";

interface PlaneFlags {
  readonly planes: readonly BenchPlane[];
  readonly runs: number;
}

const NOTES =
  `10MB (10.5 million bytes) is 320 channels of 64 x 64 in f32, two rows: what SD 1.5's blocks at full resolution mostly
take at 512 pixels. 0.33MB is 1280 channels of 8 x 8, the deepest. 64B is a control message, 20 in a row. Times are there and back,
checked to bring the bytes that were sent; sizes and planes take turns.

  shm         memory of both processes: written once in each direction, read in place
  unix, tcp   frames with a checksum on a connection of their own
  grpc        pieces of 1 MiB on a session's stream, windows open on both ends; 64B is a message of its own
  grpc-plain  one message, windows as gRPC has them

Examples:
  tutti bench plane
  tutti bench plane --planes grpc,grpc-plain --runs 50 --json`;

export const planeBench = defineBench<PlaneFlags>({
  name: "plane",
  summary: "a tensor to another process and back",
  description: "Measures how long a tensor takes to another process of this machine and back.",
  notes: NOTES,
  options: (command) =>
    command
      .addOption(
        new Option("--planes <kinds>", "separated by commas")
          .argParser(planeList).default(BENCH_PLANES, BENCH_PLANES.join(",")),
      )
      .option("--runs <n>", "round trips of each size over each plane", wholeNumber("--runs"), 30),
  full: { args: [], minutes: 0.5 },
  toy: ["--runs", "1"],
  run: async ({ planes, runs }, context) => {
    using progress = context.progress("Round trips", runs);
    const figures = await benchPlane({
      ...{ planes, runs, signal: context.signal },
      onRun: (run) => progress.update(Math.max(0, run)),
    });
    progress.update(runs);
    progress.stop();
    return { figures, text: planeText(planes, figures) };
  },
});

function planeList(text: string): readonly BenchPlane[] {
  return text.split(",").map((part) => oneOf("--planes", BENCH_PLANES)(part.trim()));
}

/** A row a plane, a column a size; below each median where half of the runs lie. */
function planeText(planes: readonly BenchPlane[], figures: readonly BenchFigure[]): string {
  const byName = new Map(figures.map((figure) => [figure.name, figure]));
  const sizes = Object.keys(PLANE_SIZES);
  const rows = planes.map((plane) => [
    plane,
    ...sizes.flatMap((size) => {
      const figure = byName.get(`plane.${plane}.${size}`)!;
      return [readable(figure), readableSpread(figure)];
    }),
  ]);
  const titles = sizes.flatMap((size) => [size, "half of the runs"]);
  return formatTable(["there and back", ...titles.map(right)], rows);
}
