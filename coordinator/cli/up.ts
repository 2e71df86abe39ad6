/** `tutti up`: starts an ensemble's workers on this machine and leaves them running. @module */

import { Command } from "commander";
import type { ModelSource } from "../../shared/checkpoint/checkpoint.ts";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import { cudaDevices, spreadDevices } from "../../shared/device/spread_devices.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { addNatsOptions, type NatsFlags } from "../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { type SecurityFlags, securityOptions } from "../../shared/security/security_flags.ts";
import { UsageError } from "../../shared/errors.ts";
import { BUNDLED_ENSEMBLE } from "../../shared/project_files.ts";
import { show } from "../../shared/show.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatTable } from "../../shared/terminal/table.ts";
import { stderrTerminal } from "../../shared/terminal/terminal.ts";
import { formatAddress, isLoopback, parseAddress } from "../../shared/wire/address.ts";
import { type EnsembleExpert, loadEnsembleFile } from "../cluster/ensemble_file.ts";
import { hasCredentials, startDetachedWorker } from "../cluster/detached_worker.ts";
import { findRunningWorkers, type WorkerRecord } from "../cluster/worker_records.ts";
import { wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { mergeSecurity } from "./security_flags.ts";

interface UpFlags extends DeviceFlags, NatsFlags, SecurityFlags {
  readonly threads?: number;
  readonly listen?: string;
  readonly replicas: number;
  readonly json: boolean;
}

const EXAMPLES = `
Experts with addresses in the file listen there; the others on 127.0.0.1, or the host that --listen names, at the port
that they had last if it is free. Workers that run already with the same weights, also those of another ensemble, are left as they are, and the table says so; where the file
has addresses, only workers there count. With several workers per expert, an image survives that one of them is lost. \`tutti sample --ensemble FILE\` finds them; \`tutti down FILE\` stops them.

Examples:
  tutti up castles.toml
  tutti up castles.toml --nats nats://nats:4222 --listen gpu-1 --token-file tokens --tls-cert gpu-1.pem
  tutti up castles.toml --replicas 2
  tutti up                 # the experts that come with Tutti
  tutti ps`;

const LOOPBACK = "127.0.0.1";

const SECURITY = {
  cert: "certificate (PEM) that the workers show (default: [security.workers] of the file)",
  ca: "authority (PEM): coordinators must have a certificate that it signed",
  token: "lines of role:token that the workers ask for",
  insecure: "let workers listen where other machines can connect, without credentials",
};

export function upCommand(): Command {
  const command = addNatsOptions(
    new Command("up")
      .summary("start an ensemble's workers on this machine and leave them running")
      .description(
        "Starts workers for each expert that has weights on this machine, and returns when all are ready.",
      )
      .argument("[ensemble]", "ensemble file (default: the experts that come with Tutti)")
      .addOption(deviceOption("what computes"))
      .addOption(precisionOption("the experts compute"))
      .option(
        "--threads <n>",
        "threads per worker (default: cores / workers)",
        wholeNumber("--threads"),
      ),
    "workers announce themselves over NATS",
  )
    .option(
      "--replicas <n>",
      "workers per expert, at least as many as it has addresses in the file",
      wholeNumber("--replicas"),
      1,
    )
    .option(
      "--listen <host>",
      "where experts without addresses in the file listen: a name or address of this machine (default: 127.0.0.1)",
      listenHost,
    )
    .option("--json", "print one JSON object per worker", false)
    .addHelpText("after", EXAMPLES)
    .action((ensemble: string | undefined, flags: UpFlags, command: Command) =>
      runUp(ensemble ?? BUNDLED_ENSEMBLE, flags, command)
    );
  securityOptions(SECURITY).forEach((option) => command.addOption(option));
  return command;
}

async function runUp(path: string, flags: UpFlags, command: Command): Promise<void> {
  const { precision, threads, replicas, json } = flags;
  using interrupt = onInterrupt();
  const terminal = stderrTerminal();
  const ensemble = await loadEnsembleFile(path);
  // The workers log in themselves; a wrong flag is told once, and here.
  const nats = await natsOptions(flags, "tutti up");
  const security = mergeSecurity(command, ensemble.security?.workers);
  const isReachable = flags.listen !== undefined || ensemble.experts.every((e) => e.addresses);
  if (nats && !nats.list.servers.every(isLoopback) && !isReachable && !json) {
    terminal.write(
      `warning: the workers listen on ${LOOPBACK}, which only this machine can reach: ` +
        "--listen HOST lets others draw with them\n",
    );
  }
  const { device, explanation } = await chooseDevice(flags.device);
  if (explanation !== undefined && !json) terminal.write(`${explanation}\n`);
  const local = ensemble.experts.filter(isLocal);
  const anyPort = formatAddress({ host: flags.listen ?? LOOPBACK, port: 0 });
  const places = local.map((expert) => ({
    expert,
    listens: listenAddresses(expert, replicas, anyPort),
  }));
  const own = places.flatMap(({ expert, listens }) => listens.map(() => expert.device));
  const spread = spreadDevices(own, device, await cudaDevices());
  const count = places.reduce((sum, { listens }) => sum + listens.length, 0);
  const perWorker = threads ??
    Math.max(1, Math.floor(navigator.hardwareConcurrency / Math.max(1, count)));
  const start = async (
    { name, model, configFrom, loras }: LocalExpertEntry,
    replica: number,
    listen: string,
    on: Device,
  ): Promise<WorkerRecord> => {
    if (!json) terminal.write(`Starting a worker for ${name}\n`);
    return await startDetachedWorker({
      ...{
        name: replica === 0 ? name : `${name}-${replica + 1}`,
        model,
        device: on,
        precision,
        threads: perWorker,
        ensemble: ensemble.name,
        ...(configFrom !== undefined && { configFrom }),
        ...(loras && { loras }),
        security,
        signal: interrupt.signal,
      },
      nats: flags,
      listen,
    });
  };
  const isSecured = hasCredentials(security);
  // Before any is started: a refusal leaves everything as it was.
  const found = await Promise.all(places.map(async ({ expert, listens }) => {
    const wanted = { ...expert, ensemble: ensemble.name, isSecured };
    const running = await findRunningWorkers(expert.model, wanted);
    const isInPlace = ({ address }: WorkerRecord) =>
      flags.listen === undefined || parseAddress(address).host === flags.listen;
    return takePlaces(listens, running.filter(isInPlace));
  }));
  let worker = 0;
  const starts = places.flatMap(({ expert, listens }, i) =>
    listens.map(async (listen, replica): Promise<UpRecord> => {
      const on = spread[worker++]!;
      const running = found[i]![replica];
      return running
        ? { ...running, wasRunning: true }
        : { ...await start(expert, replica, listen, on), wasRunning: false };
    })
  );
  const results = await Promise.allSettled(starts);
  const records = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  if (json) records.forEach(printJson);
  else {printLine(
      formatTable(
        ["name", "address", "pid", "state", "model"],
        records.map((r) => [
          ...[r.name, r.address, r.pid, r.wasRunning ? "ran already" : "started"],
          [r.model, ...r.loras ?? []].join(" + "),
        ]),
      ),
    );}
  // What did start stays: a second `up` goes on from there.
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** @property wasRunning whether it was left as it was */
type UpRecord = WorkerRecord & { readonly wasRunning: boolean };

type LocalExpertEntry = EnsembleExpert & { readonly model: ModelSource };

/** Weights here, and no address on another machine. */
function isLocal(expert: EnsembleExpert): expert is LocalExpertEntry {
  return expert.model !== undefined && (expert.addresses ?? []).every(isLoopback);
}

/** For each place the worker that is there; where any port will do, any of the others. */
function takePlaces(
  listens: readonly string[],
  running: readonly WorkerRecord[],
): (WorkerRecord | undefined)[] {
  const others = running.filter(({ address }) => !listens.includes(address));
  return listens.map((listen) =>
    listen.endsWith(":0") ? others.shift() : running.find(({ address }) => address === listen)
  );
}

/** One per worker: the addresses of the file, then any port. */
function listenAddresses(
  { addresses = [] }: LocalExpertEntry,
  replicas: number,
  anyPort: string,
): string[] {
  const count = Math.max(replicas, addresses.length);
  return Array.from({ length: count }, (_, i) => {
    const address = addresses[i];
    return address ? formatAddress(address) : anyPort;
  });
}

/** A host at which others can connect. */
function listenHost(text: string): string {
  const address = text.includes(":") && !text.startsWith("[") ? `[${text}]:1` : `${text}:1`;
  const isWildcard = /^[\[\]0.:]+$/.test(text);
  try {
    if (!isWildcard) return parseAddress(address).host;
  } catch {
    // Said below.
  }
  throw new UsageError(
    `--listen must be a name or address of this machine at which others connect, without a port: current value is ${
      show(text)
    }`,
  );
}
