/**
 * What `tutti top` shows: pure functions of what the workers said.
 *
 * @module
 */

import { displayWidth, oneLine, truncate } from "../../shared/terminal/display_width.ts";
import { type Styles, styles } from "../../shared/terminal/sgr.ts";
import { type Column, formatTable } from "../../shared/terminal/table.ts";
import { formatBytes } from "../../shared/terminal/units.ts";
import type { WorkerStatus } from "../../shared/wire/convert_status.ts";
import { stateWithoutAnswer } from "../discovery/worker_places.ts";
import { deviceText } from "./device_text.ts";
import type { WatchedWorker } from "./poll_workers.ts";

export interface TopScreen {
  readonly workers: readonly WatchedWorker[];
  /** First line. */
  readonly title: string;
  /** Size of the terminal. */
  readonly columns: number;
  readonly rows: number;
  readonly colour: boolean;
}

interface TopColumn extends Column {
  readonly cell: (status: WorkerStatus, worker: WatchedWorker) => string;
}

/** Longest name of a model that is shown whole. */
const MAX_NAME = 24;

const FIGURES: readonly TopColumn[] = [
  figure("lanes", ({ busyLanes, lanes }) => `${busyLanes}/${lanes}`),
  figure("queue", ({ queueDepth }) => String(queueDepth)),
  figure("sessions", ({ sessions, maxSessions }) => `${sessions}/${maxSessions}`),
  figure("blocks/s", (_, { rates }) => rates ? rates.blocksPerSecond.toFixed(1) : "-"),
  figure("busy", (_, { rates }) => rates ? percent(rates.computing) : "-"),
  figure("memory", ({ residentBytes }) => formatBytes(residentBytes)),
  figure("arena", ({ arenaBytesUsed }) => formatBytes(arenaBytesUsed)),
  figure("arena left", ({ arenaBytesLeft }) => formatBytes(arenaBytesLeft)),
  figure("device", deviceText),
];

/** The table alone, as wide as it gets: for a log or a pipe. */
export function topTable(workers: readonly WatchedWorker[]): string {
  return withReasons(tableRows(workers, FIGURES, styles(false)), workers).join("\n");
}

/** At most `rows` lines, each below `columns` columns: a full line would wrap. */
export function drawTop({ workers, title, columns, rows, colour }: TopScreen): string[] {
  const room = Math.max(1, columns - 1);
  // The rightmost columns say the least: a narrow terminal does without.
  const figures = FIGURES.map((_, i) => FIGURES.slice(0, FIGURES.length - i)).find((some) =>
    tableRows(workers, some, styles(false)).every((line) => displayWidth(line) <= room)
  );
  const table = withReasons(tableRows(workers, figures ?? [], styles(colour)), workers);
  const lines = [title, "", ...table].map((line) =>
    displayWidth(line) <= room ? line : truncate(withoutStyle(line), room)
  );
  if (lines.length <= rows) return lines;
  const shown = lines.slice(0, Math.max(0, rows - 1));
  return [...shown, truncate(`and ${lines.length - shown.length} more lines`, room)];
}

/** Titles, and a line for each worker. */
function tableRows(
  workers: readonly WatchedWorker[],
  figures: readonly TopColumn[],
  style: Styles,
): string[] {
  const titles = ["model", "address", "state", ...figures];
  const rows = workers.map((worker) => cells(worker, figures, style));
  const [head = "", ...lines] = formatTable(titles, rows).split("\n");
  return [style.bold(head), ...lines];
}

/** Below each worker that gave no answer, the reason. */
function withReasons(
  [head = "", ...lines]: readonly string[],
  workers: readonly WatchedWorker[],
): string[] {
  const reasonOf = ({ last }: WatchedWorker) =>
    last && "error" in last ? [`  ${oneLine(last.error.message)}`] : [];
  return [head, ...workers.flatMap((worker, i) => [lines[i]!, ...reasonOf(worker)])];
}

function cells(
  worker: WatchedWorker,
  figures: readonly TopColumn[],
  style: Styles,
): string[] {
  const { address, name = "-", last } = worker;
  if (!last || "error" in last) {
    const state = last ? style.red(stateWithoutAnswer(last.error)) : style.dim("asking");
    return [shortName(name), address, state];
  }
  const status = last.answer;
  const state = status.state === "serving" ? style.green(status.state) : style.yellow(status.state);
  const shown = figures.map(({ cell }) => cell(status, worker));
  return [shortName(name), address, state, ...shown];
}

function figure(title: string, cell: TopColumn["cell"]): TopColumn {
  return { title, align: "right", cell };
}

function shortName(name: string): string {
  return truncate(oneLine(name), MAX_NAME);
}

function percent(share: number): string {
  return `${Math.round(100 * share)}%`;
}

function withoutStyle(line: string): string {
  // deno-lint-ignore no-control-regex
  return line.replaceAll(/\x1b\[[0-9;]*m/g, "");
}
