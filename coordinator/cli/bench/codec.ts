/** `tutti bench codec`: what the wire dtypes cost this process. @module */

import { formatTable } from "../../../shared/terminal/table.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { benchCodec, CODEC_SHAPES, codecFigures, type CodecRow } from "../../bench/codec_bench.ts";
import { readable } from "../../bench/format_figure.ts";
import { oneOf, wholeNumber } from "../flags.ts";
import { defineBench } from "./bench_entry.ts";
import { right } from "./figures_table.ts";

interface CodecFlags {
  readonly shape?: string;
  readonly rounds: number;
}

const SHAPE_NAMES = CODEC_SHAPES.map(({ name }) => name);

const NOTES =
  `One thread converts a map from f32 and back. Rates are bytes of f32 per second, whatever the dtype. The error is
relative to the map's L2 norm; its values are normal, and every 32nd channel has 20 times the spread. What the error does
to an image: tutti bench wire.

Shapes, of SD 1.5 with guidance, and why:
${
    formatTable(
      ["", "", ""],
      CODEC_SHAPES.map(({ name, shape, reason }) => [`  ${name}`, `[${shape.join(", ")}]`, reason]),
    )
  }

Examples:
  tutti bench codec
  tutti bench codec --shape OUT08-512 --rounds 50 --json`;

export const codecBench = defineBench<CodecFlags>({
  name: "codec",
  summary: "time, bytes and error of the wire dtypes",
  description: "Measures what each wire dtype costs: time to convert, bytes, error.",
  notes: NOTES,
  options: (command) =>
    command
      .option("--shape <name>", "this one alone", oneOf("--shape", SHAPE_NAMES))
      .option("--rounds <n>", "times to measure each conversion", wholeNumber("--rounds"), 15),
  full: { args: [], minutes: 1 },
  toy: ["--shape", "OUT11-512", "--rounds", "1"],
  run: async ({ shape, rounds }, context) => {
    const shapes = CODEC_SHAPES.filter(({ name }) => shape === undefined || name === shape);
    using progress = context.progress("Converting", shapes.length);
    let begun = 0;
    const rows = await benchCodec({
      ...{ shapes, rounds, signal: context.signal },
      onPhase: (phase) => progress.update(begun++, phase),
    });
    progress.update(shapes.length);
    progress.stop();
    const figures = codecFigures(rows);
    return { figures, text: codecText(rows, figures) };
  },
});

/** A row a shape and dtype. */
function codecText(rows: readonly CodecRow[], figures: readonly BenchFigure[]): string {
  const byName = new Map(figures.map((figure) => [figure.name, figure]));
  const titles = ["bytes", "encode", "decode", "encode rate", "decode rate", "relative L2"];
  return formatTable(
    ["", "", ...titles.map(right)],
    rows.map(({ shape, dtype }, i) => [
      rows[i - 1]?.shape === shape ? "" : shape.name,
      dtype,
      ...["bytes.", "encode.", "decode.", "encode.rate", "decode.rate", "error."].map((part) => {
        const [what, rate] = part.split(".");
        const name = `codec.${dtype}.${what}.${shape.name}`;
        return readable(byName.get(rate ? `${name}.rate` : name)!);
      }),
    ]),
  );
}
