/** `tutti coordinator`: draws the jobs of the queue. @module */

import { hostname } from "node:os";
import { Command } from "commander";
import { chooseDevice } from "../../shared/device/choose_device.ts";
import {
  type DeviceFlags,
  deviceOption,
  precisionOption,
} from "../../shared/device/device_flags.ts";
import { throwIfAborted, UsageError } from "../../shared/errors.ts";
import { Nats } from "../../shared/nats/connect.ts";
import { addNatsOptions } from "../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import { type LogFlags, logOptions } from "../../shared/telemetry/log_flags.ts";
import { roleLogger, startLogging } from "../../shared/telemetry/logging.ts";
import {
  parseHttpAddress,
  startWatchServer,
  type WatchServer,
} from "../../shared/http/watch_server.ts";
import type { SecurityFlags } from "../../shared/security/security_flags.ts";
import { readTlsFiles } from "../../shared/security/tls_files.ts";
import { readTokens } from "../../shared/security/token_file.ts";
import { watchSecrets } from "../../shared/security/watch_secrets.ts";
import { TokenGuard } from "../../shared/security/token_guard.ts";
import { CoordinatorMetrics } from "../metrics/coordinator_metrics.ts";
import { watchCoordinator } from "../metrics/watch_coordinator.ts";
import { oneLine } from "../../shared/terminal/display_width.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { openEnsemble } from "../ensemble/ensemble.ts";
import { type EnsembleFlags, ensemblePlan } from "../ensemble/ensemble_plan.ts";
import { checkOut } from "../jobs/output_paths.ts";
import { JobLeases } from "../jobs/queue/job_lease.ts";
import { OutFolder } from "../jobs/queue/out_folder.ts";
import { DEFAULT_QUEUE_LIMIT, JobQueue } from "../jobs/queue/job_queue.ts";
import { JobRecords } from "../jobs/queue/job_records.ts";
import { NatsCheckpoints } from "../jobs/queue/nats_checkpoint.ts";
import { type CoordinatorEvent, runCoordinator } from "../jobs/queue/run_coordinator.ts";
import { wholeNumber } from "./flags.ts";
import { onInterrupt } from "./interrupt.ts";
import { hedgeOption, parkOption, type ReplicaFlags } from "./replica_flags.ts";
import { PlaneFallbacks, planeOption, transportOptions } from "./transport_flags.ts";
import { patienceOf, type WaitFlags, waitOption } from "./wait_option.ts";

interface CoordinatorFlags
  extends EnsembleFlags, DeviceFlags, LogFlags, ReplicaFlags, WaitFlags, SecurityFlags {
  readonly plane: Parameters<typeof transportOptions>[0]["plane"];
  readonly force: boolean;
  readonly out: string;
  readonly jobs: number;
  readonly maxAttempts: number;
  readonly queueLimit?: number;
  readonly name?: string;
  readonly http?: string;
  readonly json: boolean;
}

const EXAMPLES = `
Any number of them may run for one ensemble. One that is killed loses at most the step that it was at: another one, or the
same one started again, goes on from there. SIGTERM and Ctrl-C give running jobs back after their step.

Examples:
  tutti coordinator --nats nats://127.0.0.1:4222 --ensemble castles.toml --out pictures
  tutti coordinator --nats nats://nats-1,nats-2 --ensemble castles.toml --out /shared/pictures --jobs 2 --json`;

export function coordinatorCommand(): Command {
  const command = addNatsOptions(
    new Command("coordinator")
      .summary("draw the jobs of the queue")
      .description(
        "Takes jobs that `tutti submit` put into the queue, draws them with an ensemble, and writes the images to a folder.",
      ),
    "the NATS server that has the queue, and knows workers",
  )
    .option(
      "--ensemble <file>",
      "ensemble file (TOML); without it the experts that come with Tutti",
    )
    .option("--workers <addresses>", 'running workers, HOST:PORT,HOST:PORT: the ensemble "workers"')
    .option(
      "--experts <names>",
      'models by the names that their workers have: the ensemble "experts"',
    )
    .option(
      "--sabw <folder>",
      'trained aggregators, or "uniform" for plain averaging (default: the ensemble\'s)',
    )
    .option("--force", "use aggregators that were trained with other experts", false)
    .option("--vae <path>", "VAE: folder or single file (default: the ensemble's)")
    .option("--tokenizer <folder>", "tokenizer (default: the ensemble's)")
    .option("--out <folder>", "where images go, as JOB.png", "out")
    .option("--jobs <n>", "jobs at a time", wholeNumber("--jobs"), 1)
    .option(
      "--max-attempts <n>",
      "tries in a row without one more finished step after which a job has failed",
      wholeNumber("--max-attempts"),
      5,
    )
    .option(
      "--queue-limit <n>",
      `jobs that may wait or run at a time, for the whole queue (default: as it is, ${DEFAULT_QUEUE_LIMIT} at first)`,
      wholeNumber("--queue-limit"),
    )
    .option("--name <name>", "who this is, for `tutti jobs` (default: host and process)")
    .addOption(deviceOption("what computes VAE and SABW, and the workers that this command starts"))
    .addOption(precisionOption("workers that this command starts compute"))
    .addOption(planeOption())
    .addOption(parkOption())
    .addOption(hedgeOption())
    .addOption(waitOption())
    .option(
      "--http <host:port>",
      "serve /live, /ready, /status and /metrics (for Prometheus) there, over HTTPS with --tls-cert; port 0 takes a free one",
    )
    .option("--json", "print one line of JSON per event", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: CoordinatorFlags) => runCoordinatorCommand(flags));
  logOptions().forEach((option) => command.addOption(option));
  return command;
}

async function runCoordinatorCommand(flags: CoordinatorFlags): Promise<void> {
  const notes = startLogging("coordinator", flags, { hasNotes: !flags.json });
  const { note } = notes;
  const warn = (text: string) => notes.warn(oneLine(text));
  const fallbacks = new PlaneFallbacks(warn);
  const coordinator = flags.name ?? `${hostname()}:${Deno.pid}`;
  const options = await natsOptions(flags, `tutti coordinator ${coordinator}`);
  if (!options) throw new UsageError("--nats is needed: the NATS server that has the queue");
  using interrupt = onInterrupt();
  const { signal } = interrupt;
  const pages = flags.http === undefined ? undefined : await pagesOf(flags, flags.http);
  const plan = await ensemblePlan(flags);
  // A coordinator that cannot store images would take jobs to no avail.
  await checkOut(flags.out, "folder");
  await using nats = await Nats.connect({ ...options, signal });
  const stores = {
    nats,
    records: await JobRecords.open(nats),
    leases: await JobLeases.open(nats),
    checkpoints: await NatsCheckpoints.open(nats),
  };
  const { device, explanation } = await chooseDevice(flags.device);
  if (explanation !== undefined) note(explanation);
  const metrics = pages && new CoordinatorMetrics();
  await using ensemble = await openEnsemble(plan, {
    ...{ signal, device, precision: flags.precision, takesAnySabw: flags.force },
    mayDiffer: true,
    transport: transportOptions({ plane: flags.plane, wireDtype: {} }, fallbacks),
    nats: options,
    replicas: {
      ...{ parkMs: flags.park * 1000, hedge: flags.hedge },
      onEvent: (event) => metrics?.replica(event),
    },
    onProgress: note,
  });
  for (const warning of ensemble.warnings) warn(warning);
  throwIfAborted(signal);
  signal.addEventListener("abort", () => roleLogger("coordinator").info("drain began"));
  metrics?.setExperts(ensemble.members.map(({ name }) => name));
  const queue = metrics && await JobQueue.open(nats);
  metrics?.setBacklog(() => queue!.backlog(ensemble.name));
  const facts = { coordinator, ensemble: ensemble.name, jobs: flags.jobs };
  await using server = pages && metrics &&
    await startWatchServer(
      pages.address,
      watchCoordinator(facts, metrics, signal),
      pages.protection,
    );
  if (server) note(`Health and metrics at ${server.url}`);
  using _ = server && pages && renewPages(flags, pages, server);
  await runCoordinator({
    ...{
      ...stores,
      ensemble,
      out: new OutFolder(flags.out),
      coordinator,
      jobs: flags.jobs,
      draining: signal,
    },
    maxAttempts: flags.maxAttempts,
    patience: (ends) => patienceOf(flags, note, AbortSignal.any([signal, ends])),
    ...(flags.queueLimit !== undefined && { queueLimit: flags.queueLimit }),
    ...(metrics && { onSegment: metrics.segment }),
    onEvent: (event) => {
      logEvent(event, ensemble.name);
      metrics?.job(event);
      if (flags.json) printEvent(event, server?.address);
      else printLine(oneLine(eventText(event, ensemble.name)));
    },
  });
  roleLogger("coordinator").info("drain ended");
  note("All jobs are done or back in the queue");
}

/** Without texts, which may quote a prompt: they are on standard output. */
function logEvent({ event, ...facts }: CoordinatorEvent, ensemble: string): void {
  const logger = roleLogger("coordinator");
  const job = "job" in facts ? facts.job : undefined;
  if (event === "ready") return logger.info("asking for jobs", { ensemble });
  if (event === "waiting") {
    const reason = "error" in facts ? facts.error.message : "";
    return logger.warn("takes no jobs", { ensemble, reason });
  }
  logger.info(`job ${event}`, {
    job,
    ...("stepsDone" in facts && { stepsDone: facts.stepsDone }),
    ...("images" in facts && { images: facts.images.length }),
    ...("error" in facts && { code: facts.error.code }),
  });
}

/** Where the pages are shown, and who may read the figures on them: as with a worker's. */
async function pagesOf(flags: CoordinatorFlags, http: string) {
  // What others may read of these files has been told.
  const ignore = () => {};
  const [tls, tokens] = [await readTlsFiles(flags, ignore), await readTokens(flags, ignore)];
  const protection = { guard: new TokenGuard(tokens), ...(tls?.pair && { tls: tls.pair }) };
  const address = parseHttpAddress(http, flags.insecure === true, protection);
  return { address, protection, tls };
}

/** The pages take a renewed certificate, and renewed tokens. */
function renewPages(
  flags: CoordinatorFlags,
  { tls, protection: { guard } }: Awaited<ReturnType<typeof pagesOf>>,
  server: WatchServer,
): Disposable {
  return watchSecrets(flags, tls, {
    renewTls: ({ pair }) => pair && server.renewTls(pair),
    renewTokens: (tokens) => guard.renew(tokens),
    // They are the credentials for workers, too: of files that cannot be used is told there.
    warn: () => {},
    note: () => {},
  });
}

/** @param http where the pages are, told with the first event */
function printEvent(event: CoordinatorEvent, http: string | undefined): void {
  if (event.event === "ready") return printJson({ ...event, ...(http && { http }) });
  if (!("error" in event)) return printJson(event);
  const { code, message, details } = event.error;
  printJson({ ...event, error: { code, message, details } });
}

function eventText(event: CoordinatorEvent, ensemble: string): string {
  switch (event.event) {
    case "ready":
      return `Coordinator ready: drawing jobs of the ensemble ${ensemble}. Ctrl-C gives them back`;
    case "waiting":
      return `Takes no jobs: ${event.error.message}`;
    case "started":
      return event.stepsDone === 0
        ? `${event.job}: started`
        : `${event.job}: going on after step ${event.stepsDone}`;
    case "done":
      return `${event.job}: done, ${event.images.map(({ path }) => path).join(", ")}`;
    case "returned":
      return `${event.job}: back in the queue: ${event.error.message}`;
    case "failed":
      return `${event.job}: failed: ${event.error.message}`;
    case "lost":
      return `${event.job}: lost: ${event.error.message}`;
    case "warning":
      return `${event.job}: ${event.text}`;
  }
}
