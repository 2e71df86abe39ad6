/**
 * Text tables for people: aligned columns two spaces apart, no frame. Programs get JSON instead.
 *
 * @module
 */

import { displayWidth, oneLine, pad } from "./display_width.ts";

export type Cell = string | number;

export interface Column {
  readonly title: string;
  /** Default: right if all cells of the column are numbers, else left. */
  readonly align?: "left" | "right";
}

const GAP = "  ";
// deno-lint-ignore no-control-regex
const STYLE_PARTS = /(\x1b\[[0-9;]*m)/;

/** Keeps the colour codes that we put in; everything else becomes one line. */
function printable(cell: Cell): string {
  return String(cell).split(STYLE_PARTS).map((part, i) => i % 2 === 1 ? part : oneLine(part)).join(
    "",
  );
}

/** Whether a column holds numbers and nothing else. */
function isNumeric(rows: readonly (readonly Cell[])[], column: number): boolean {
  const cells = rows.map((row) => row[column]).filter((cell) => cell !== undefined);
  return cells.length > 0 && cells.every((cell) => typeof cell === "number");
}

/**
 * A table as text, one line a row, without a final line break.
 *
 * @param columns titles in order; a plain string is a title with the default alignment. Titles that
 *   are all empty print no title line
 * @param rows cells in the columns' order; missing ones are empty
 *
 * @example
 * ```text
 * block  models     ms
 * IN00   3        12.1
 * M00    3         8.4
 * ```
 */
export function formatTable(
  columns: readonly (string | Column)[],
  rows: readonly (readonly Cell[])[],
): string {
  const settings = columns.map((column) => typeof column === "string" ? { title: column } : column);
  const titles = settings.map(({ title }) => title);
  const lines = titles.some((title) => title !== "") ? [titles, ...rows] : rows;
  const texts = lines.map((cells) => settings.map((_, i) => printable(cells[i] ?? "")));
  const widths = settings.map((_, i) => Math.max(0, ...texts.map((row) => displayWidth(row[i]!))));
  const aligns = settings.map(({ align }, i) => align ?? (isNumeric(rows, i) ? "right" : "left"));
  return texts.map((row) =>
    row.map((text, i) => pad(text, widths[i]!, aligns[i])).join(GAP).trimEnd()
  ).join("\n");
}
