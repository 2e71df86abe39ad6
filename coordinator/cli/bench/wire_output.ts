/** Results of `tutti bench wire`, for people. @module */

import { formatTable } from "../../../shared/terminal/table.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { readable } from "../../bench/format_figure.ts";
import type { WireRow } from "../../bench/wire_bench.ts";
import { right } from "./figures_table.ts";

/** A row a dtype; below it a row a block, with a column for each dtype that makes an error. */
export function wireText(rows: readonly WireRow[], figures: readonly BenchFigure[]): string {
  const byName = new Map(figures.map((figure) => [figure.name, figure]));
  const cell = (name: string) => {
    const figure = byName.get(name);
    return figure ? readable(figure) : "";
  };
  const [exact] = rows;
  const images = rows.map(({ dtype, planes, sentBytes, receivedBytes, error }) => [
    dtype,
    planes.join(", "),
    ...["sent", "received"].map((part) => cell(`wire.${dtype}.${part}`)),
    percent((sentBytes + receivedBytes) / (exact!.sentBytes + exact!.receivedBytes)),
    cell(`wire.${dtype}.latents`),
    error?.psnr === Infinity ? "the same" : cell(`wire.${dtype}.psnr`),
  ]);
  const titles = ["sent a step", "received a step", "of f32", "latents", "PSNR"];
  const lossy = rows.filter(({ error }) => error !== undefined);
  const blocks = [...lossy[0]?.error?.blocks.keys() ?? []];
  return [
    formatTable(["", "plane", ...titles.map(right)], images),
    formatTable(
      ["block", ...lossy.map(({ dtype }) => right(dtype))],
      blocks.map((block) => [
        block,
        ...lossy.map(({ dtype }) => cell(`wire.${dtype}.block.${block}`)),
      ]),
    ),
  ].join("\n\n");
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
