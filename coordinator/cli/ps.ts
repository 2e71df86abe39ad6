/** `tutti ps`: which workers there are and how busy they are. @module */

import { Command } from "commander";
import { TuttiError } from "../../shared/errors.ts";
import { addNatsOptions, type NatsFlags } from "../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import type { WorkerAnnouncement } from "../../shared/nats/worker_announcement.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatBytes, formatDuration } from "../../shared/terminal/units.ts";
import { formatAddress, parseAddress } from "../../shared/wire/address.ts";
import type { SessionSummary, WorkerStatus } from "../../shared/wire/convert_status.ts";
import { loadEnsembleFile } from "../cluster/ensemble_file.ts";
import { listRecords } from "../cluster/worker_records.ts";
import { listWorkerSessions, readWorkerStatus } from "../cluster/worker_status.ts";

interface PsFlags extends NatsFlags {
  readonly ensemble?: string;
  readonly workers?: string;
  readonly sessions: boolean;
  readonly json: boolean;
}

/** One worker's answer, or why there is none. */
type Row =
  & { readonly address: string; readonly announced?: WorkerAnnouncement }
  & ({
    readonly status: WorkerStatus;
    /** Undefined where this side's token may not see them. */
    readonly sessions: readonly SessionSummary[] | undefined;
  } | {
    readonly error: TuttiError;
  });

const EXAMPLES = `
Without flags: the workers that \`tutti up\` started on this machine; with --nats, those that announce themselves there, too.

Examples:
  tutti ps
  tutti ps --workers gpu-1:7070,gpu-2:7070 --sessions
  tutti ps --nats nats://nats:4222
  tutti ps --json`;

export function psCommand(): Command {
  return addNatsOptions(
    new Command("ps")
      .summary("show workers, their models, sessions and load")
      .description("Asks every worker for its model, sessions, load and memory.")
      .option("--ensemble <file>", "the workers that have an address in this ensemble file, too")
      .option("--workers <addresses>", "these workers: HOST:PORT,HOST:PORT"),
    "the workers that announce themselves over NATS, too",
  )
    .option("--sessions", "list every session", false)
    .option("--json", "print one JSON object per worker", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: PsFlags) => runPs(flags));
}

async function runPs(flags: PsFlags): Promise<void> {
  const announced = await announcedWorkers(flags);
  const places = new Set([...await addresses(flags), ...announced.keys()]);
  const rows = await Promise.all(
    [...places].map((address) => askWorker(address, flags, announced.get(address))),
  );
  if (flags.json) {
    for (const row of rows) {
      printJson(
        "error" in row
          ? {
            address: row.address,
            ...(row.announced && { name: row.announced.name, modelHash: row.announced.modelHash }),
            ...{ error: row.error.message, code: row.error.code },
          }
          : {
            address: row.address,
            ...row.status,
            ...(row.sessions && { sessionList: row.sessions }),
          },
      );
    }
    return;
  }
  if (rows.length === 0) {
    printLine(
      "No workers are running. Start some with `tutti up ENSEMBLE` or `tutti worker --model PATH`",
    );
    return;
  }
  printLine(formatTable(
    ["model", "hash", "address", "state", "sessions", "load", "memory", "arena left", "up"],
    rows.map(statusCells),
  ));
  if (flags.sessions) printSessions(rows);
  const terminal = stderrTerminal();
  for (const row of rows) {
    if ("error" in row) terminal.write(`warning: ${oneLine(row.error.message)}\n`);
  }
}

async function addresses({ ensemble, workers }: PsFlags): Promise<string[]> {
  if (workers !== undefined) {
    return workers.split(/[,+]/).map((text) => formatAddress(parseAddress(text.trim())));
  }
  const records = (await listRecords()).map(({ address }) => address);
  const listed = ensemble === undefined ? [] : (await loadEnsembleFile(ensemble)).experts;
  return [
    ...new Set([
      ...records,
      ...listed.flatMap(({ addresses }) => addresses?.map(formatAddress) ?? []),
    ]),
  ];
}

/** Those that NATS tells of, by address; none where workers are named, or without NATS. */
async function announcedWorkers(flags: PsFlags): Promise<Map<string, WorkerAnnouncement>> {
  const nats = flags.workers === undefined ? await natsOptions(flags, "tutti ps") : undefined;
  if (nats === undefined) return new Map();
  const { Discovery } = await import("../discovery/discovery.ts");
  const terminal = stderrTerminal();
  await using discovery = await Discovery.open(nats, {
    onNotice: (text) => terminal.write(`${text}\n`),
  });
  return new Map(discovery.view.workers().map((worker) => [worker.address, worker]));
}

async function askWorker(
  address: string,
  flags: PsFlags,
  announced?: WorkerAnnouncement,
): Promise<Row> {
  const place = { address, ...(announced && { announced }) };
  try {
    const [status, sessions] = await Promise.all([
      readWorkerStatus(address),
      listWorkerSessions(address).catch((error) => {
        // Whoever did not ask for them does without.
        if (flags.sessions || TuttiError.from(error).code !== "PERMISSION_DENIED") throw error;
        return undefined;
      }),
    ]);
    return { ...place, status, sessions };
  } catch (error) {
    return { ...place, error: TuttiError.from(error) };
  }
}

function statusCells(row: Row): string[] {
  if ("error" in row) {
    const { name = "-", modelHash = "-" } = row.announced ?? {};
    const state = isRefusal(row.error) ? "refused" : "unreachable";
    return [name, modelHash.slice(0, 10), row.address, state];
  }
  const { status } = row;
  return [
    status.name,
    status.modelHash.slice(0, 10),
    row.address,
    status.state,
    `${status.sessions}/${status.maxSessions}`,
    `${status.busyLanes}/${status.lanes} lanes, ${status.queueDepth} waiting`,
    formatBytes(status.residentBytes),
    formatBytes(status.arenaBytesLeft),
    formatDuration(status.uptimeSeconds * 1000),
  ];
}

/** A worker that is there, and that wants other credentials. */
function isRefusal({ code, details }: TuttiError): boolean {
  return code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED" || details.field === "tls";
}

function printSessions(rows: readonly Row[]): void {
  const sessions = rows.flatMap((row) =>
    "error" in row ? [] : (row.sessions ?? []).map((session) => ({ row, session }))
  );
  if (sessions.length === 0) {
    printLine("No sessions");
    return;
  }
  printLine(
    "\n" + formatTable(
      ["session", "model", "batch", "latent", "step", "plane", "arena", "age", "idle"],
      sessions.map(({ row, session }) => [
        session.sessionId,
        "status" in row ? row.status.name : "",
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
