/** `tutti ps`: which workers there are and how busy they are. @module */

import { Command } from "commander";
import { TuttiError } from "../../shared/errors.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatBytes, formatDuration } from "../../shared/terminal/units.ts";
import { deviceText } from "../top/device_text.ts";
import type { SessionSummary, WorkerStatus } from "../../shared/wire/convert_status.ts";
import { listWorkerSessions, readWorkerStatus } from "../cluster/worker_status.ts";
import {
  askWorker,
  checkNamedReached,
  stateWithoutAnswer,
  withoutAnswer,
  type WorkerAnswer,
  WorkerPlaces,
  type WorkerPlacesFlags,
} from "../discovery/worker_places.ts";
import { choosesWorkers, NO_WORKERS, PLACES_HELP } from "./worker_places_flags.ts";

interface PsFlags extends WorkerPlacesFlags {
  readonly sessions: boolean;
  readonly json: boolean;
}

interface PsAnswer {
  readonly status: WorkerStatus;
  /** Undefined where this side's token may not see them. */
  readonly sessions: readonly SessionSummary[] | undefined;
}

type Row = WorkerAnswer<PsAnswer>;

const EXAMPLES = `
${PLACES_HELP}

Examples:
  tutti ps
  tutti ps --workers gpu-1:7070,gpu-2:7070 --sessions
  tutti ps --nats nats://nats:4222
  tutti ps --json`;

export function psCommand(): Command {
  const command = new Command("ps")
    .summary("show workers, their models, sessions and load")
    .description(
      "Asks every worker for its model, sessions, load and memory. Exit code 3 if one that --workers names cannot be reached, or all refuse.",
    );
  return choosesWorkers(command)
    .option("--sessions", "list every session", false)
    .option("--json", "print one JSON object per worker", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: PsFlags) => runPs(flags));
}

async function runPs(flags: PsFlags): Promise<void> {
  const terminal = stderrTerminal();
  await using places = await WorkerPlaces.open(
    flags,
    "tutti ps",
    (text) => terminal.write(`${text}\n`),
  );
  const rows = await Promise.all(
    (await places.list()).map((place) => askWorker(place, (address) => ask(address, flags))),
  );
  rows.sort((a, b) => `${nameOf(a)} ${a.address}`.localeCompare(`${nameOf(b)} ${b.address}`));
  if (flags.json) {
    for (const row of rows) printJson("error" in row ? withoutAnswer(row, row.error) : facts(row));
    checkNamedReached(flags, rows);
    return;
  }
  if (rows.length === 0) {
    printLine(NO_WORKERS);
    return;
  }
  printLine(formatTable(
    [
      "model",
      "hash",
      "address",
      "state",
      "device",
      "sessions",
      "load",
      "memory",
      "arena left",
      "up",
    ],
    rows.map(statusCells),
  ));
  if (flags.sessions) printSessions(rows);
  for (const row of rows) {
    if ("error" in row) terminal.write(`warning: ${oneLine(row.error.message)}\n`);
  }
  checkNamedReached(flags, rows);
}

async function ask(address: string, flags: PsFlags): Promise<PsAnswer> {
  const [status, sessions] = await Promise.all([
    readWorkerStatus(address),
    listWorkerSessions(address).catch((error) => {
      // Whoever did not ask for them does without.
      if (flags.sessions || TuttiError.from(error).code !== "PERMISSION_DENIED") throw error;
      return undefined;
    }),
  ]);
  return { status, sessions };
}

/** Of its model; those that say none come last. */
function nameOf(row: Row): string {
  return ("error" in row ? row.announced?.name : row.answer.status.name) ?? "\uffff";
}

function facts({ address, answer: { status, sessions } }: Extract<Row, { answer: PsAnswer }>) {
  return { address, ...status, ...(sessions && { sessionList: sessions }) };
}

function statusCells(row: Row): string[] {
  if ("error" in row) {
    const { name = "-", modelHash = "-" } = row.announced ?? {};
    return [name, modelHash.slice(0, 10), row.address, stateWithoutAnswer(row.error)];
  }
  const { status } = row.answer;
  return [
    status.name,
    status.modelHash.slice(0, 10),
    row.address,
    status.state,
    deviceText(status),
    `${status.sessions}/${status.maxSessions}`,
    `${status.busyLanes}/${status.lanes} lanes, ${status.queueDepth} waiting`,
    formatBytes(status.residentBytes),
    formatBytes(status.arenaBytesLeft),
    formatDuration(status.uptimeSeconds * 1000),
  ];
}

function printSessions(rows: readonly Row[]): void {
  const sessions = rows.flatMap((row) =>
    "error" in row
      ? []
      : (row.answer.sessions ?? []).map((session) => ({ name: row.answer.status.name, session }))
  );
  if (sessions.length === 0) {
    printLine("No sessions");
    return;
  }
  printLine(
    "\n" + formatTable(
      ["session", "model", "batch", "latent", "step", "plane", "arena", "age", "idle"],
      sessions.map(({ name, session }) => [
        session.sessionId,
        name,
        session.batch,
        `${session.width}x${session.height}`,
        `${session.stepIndex + 1}/${session.timesteps}`,
        session.plane ?? "-",
        formatBytes(session.arenaBytes),
        formatDuration(session.ageSeconds * 1000),
        formatDuration(session.idleSeconds * 1000),
      ]),
    ),
  );
}
