/** `tutti top`: how busy workers are, again and again. @module */

import { Command } from "commander";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { delay } from "../cluster/delay.ts";
import { readWorkerStatus } from "../cluster/worker_status.ts";
import {
  askWorker,
  checkNamedReached,
  withoutAnswer,
  WorkerPlaces,
  type WorkerPlacesFlags,
} from "../discovery/worker_places.ts";
import { drawTop, topTable } from "../top/draw_top.ts";
import { type WatchedWorker, WorkerPolls } from "../top/poll_workers.ts";
import { Screen } from "../top/screen.ts";
import { positive } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { choosesWorkers, NO_WORKERS, PLACES_HELP } from "./worker_places_flags.ts";

interface TopFlags extends WorkerPlacesFlags {
  /** Seconds. */
  readonly interval: number;
  readonly once: boolean;
  readonly json: boolean;
}

const EXAMPLES = `
${PLACES_HELP}
Rates are of the last 10 seconds: blocks that sessions ran, and under "busy" the part of the time of all lanes that went into
them. q or Ctrl-C quits. Where the output is no terminal, it is one table, as with --once.

Examples:
  tutti top
  tutti top --workers gpu-1:7070,gpu-2:7070 --interval 5
  tutti top --nats nats://nats:4222 --once --json`;

export function topCommand(): Command {
  const command = new Command("top")
    .summary("watch how busy workers are")
    .description("Shows what workers do, drawn anew in place.");
  return choosesWorkers(command)
    .option("--interval <seconds>", "between two readings", positive("--interval"), 2)
    .option("--once", "two readings, one table", false)
    .option(
      "--json",
      "print one JSON object per worker and reading, without end unless --once",
      false,
    )
    .addHelpText("after", EXAMPLES)
    .action((flags: TopFlags) => runTop(flags));
}

async function runTop(flags: TopFlags): Promise<void> {
  let notice = "";
  const isDrawn = !flags.once && !flags.json && Deno.stdout.isTerminal() &&
    Deno.env.get("TERM") !== "dumb";
  const terminal = stderrTerminal();
  await using places = await WorkerPlaces.open(flags, "tutti top", (text) => {
    if (isDrawn) notice = oneLine(text);
    else terminal.write(`${text}\n`);
  });
  const polls = new WorkerPolls((place) =>
    askWorker(place, (address) => readWorkerStatus(address))
  );
  if (isDrawn) return await drawForever(flags, places, polls, () => notice);
  if (flags.json && !flags.once) return await printForever(flags, places, polls);
  await readAll(places, polls);
  await delay(1000 * flags.interval);
  const workers = await readAll(places, polls);
  if (flags.json) workers.forEach(printWorker);
  else printLine(workers.length === 0 ? NO_WORKERS : topTable(workers));
  checkNamedReached(flags, workers.flatMap(({ last }) => last ?? []));
}

async function drawForever(
  { interval }: TopFlags,
  places: WorkerPlaces,
  polls: WorkerPolls,
  notice: () => string,
): Promise<void> {
  using interrupt = onInterrupt();
  const quit = new AbortController();
  const signal = AbortSignal.any([interrupt.signal, quit.signal]);
  let workers: readonly WatchedWorker[] | undefined;
  const draw = () => {
    const rate = workers?.reduce((sum, { rates }) => sum + (rates?.blocksPerSecond ?? 0), 0) ?? 0;
    const count = workers?.length === 1 ? "1 worker" : `${workers?.length ?? 0} workers`;
    const title = `tutti top  ${new Date().toTimeString().slice(0, 8)}  ${count}  ` +
      `${rate.toFixed(1)} blocks/s  every ${interval} s, q quits  ${notice()}`;
    const isEmpty = workers?.length === 0;
    const lines = drawTop({ ...screen.size, title, workers: workers ?? [], colour: !Deno.noColor });
    screen.draw(isEmpty ? [...lines, NO_WORKERS] : lines);
  };
  using screen = new Screen({ quit: () => quit.abort(), resize: draw });
  draw();
  while (!signal.aborted) {
    const pause = delay(1000 * interval, signal).catch(() => {/* The person quits. */});
    const list = await places.list();
    // A worker that does not answer keeps its last row for a while; the others are shown.
    await Promise.race([polls.ask(list), pause]);
    workers = polls.workers(list);
    draw();
    await pause;
  }
}

async function printForever(
  { interval }: TopFlags,
  places: WorkerPlaces,
  polls: WorkerPolls,
): Promise<void> {
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  while (!signal.aborted) {
    const pause = delay(1000 * interval, signal).catch(() => {/* The person quits. */});
    (await readAll(places, polls)).forEach(printWorker);
    await pause;
  }
}

async function readAll(places: WorkerPlaces, polls: WorkerPolls): Promise<WatchedWorker[]> {
  const list = await places.list();
  await polls.ask(list);
  return polls.workers(list);
}

function printWorker({ last, rates }: WatchedWorker): void {
  if (!last) return;
  if ("error" in last) printJson(withoutAnswer(last, last.error));
  else printJson({ address: last.address, ...last.answer, ...rates });
}
