/**
 * `tutti worker`: opens one expert and serves it until a signal says stop.
 *
 * @module
 */

import { Command } from "commander";
import { join } from "node:path";
import type { ModelSource } from "../shared/checkpoint/checkpoint.ts";
import {
  LORA_CHOICE_FORM,
  type LoraChoice,
  parseLoraChoice,
} from "../shared/checkpoint/lora/lora_choice.ts";
import { chooseDevice } from "../shared/device/choose_device.ts";
import { type DeviceFlags, deviceOption, precisionOption } from "../shared/device/device_flags.ts";
import type { ExpertDescription } from "../shared/engine/expert.ts";
import { DEFAULT_TEXT_IDLE_SECONDS } from "../shared/engine/text_residency.ts";
import { UsageError } from "../shared/errors.ts";
import { localPath } from "../shared/hub/cached_model.ts";
import { parseHttpAddress } from "../shared/http/watch_server.ts";
import { noteWorker } from "../shared/running_workers.ts";
import { type SecurityFlags, securityOptions } from "../shared/security/security_flags.ts";
import { watchSecrets } from "../shared/security/watch_secrets.ts";
import { type LogFlags, logOptions } from "../shared/telemetry/log_flags.ts";
import { type Notes, startLogging } from "../shared/telemetry/logging.ts";
import { jsonLine, printLine } from "../shared/terminal/stdout.ts";
import { wholeNumber } from "../shared/terminal/whole_number.ts";
import { MAX_PORT } from "../shared/wire/address.ts";
import { DEFAULT_LIMITS } from "../shared/wire/limits.ts";
import { parsePlaneList, PLANE_KINDS, type PlaneKind } from "../shared/wire/plane/plane_kind.ts";
import { parseListenAddress } from "./listen_address.ts";
import {
  addRegistrationOptions,
  openRegistration,
  type RegistrationFlags,
} from "./registration_flags.ts";
import { DRAIN_LIMIT_MS, type RunningWorker, startWorkerServer } from "./rpc/server.ts";
import {
  pageProtection,
  readWorkerSecurity,
  type WorkerSecurity,
  workerTls,
} from "./security/worker_security.ts";

interface WorkerFlags extends DeviceFlags, LogFlags, RegistrationFlags, SecurityFlags {
  readonly model?: string;
  readonly merge?: string;
  readonly name?: string;
  readonly listen: string;
  readonly insecure: boolean;
  readonly http?: string;
  readonly lanes: number;
  readonly threads?: number;
  readonly maxSessions: number;
  readonly maxSessionsPerJob?: number;
  readonly maxWaiting: number;
  readonly sessionBytes: number;
  readonly arenaBytes: number;
  readonly idleLimit: number;
  readonly textIdle: number;
  readonly config?: string;
  readonly lora: readonly LoraChoice[];
  readonly planes: readonly PlaneKind[];
  readonly planePort: number;
  readonly drainLimit: number;
  readonly stopWithStdin: boolean;
  readonly json: boolean;
}

const EXAMPLES = `
Examples:
  tutti worker --model models/dreamy
  tutti worker --model models/photo.safetensors --listen 127.0.0.1:0 --json
  tutti worker --model models/photo.safetensors --lora loras/ink.safetensors:0.8
  tutti worker --merge mix.toml
  tutti worker --merge '{ models = ["photo.safetensors", "anime.safetensors"], mbw = "GRAD_V", dtype = "f16" }'
  tutti worker --model models/dreamy --http 127.0.0.1:7072 --log json --log-level info
  tutti worker --model models/dreamy --listen 10.0.0.5:7070 --tls-cert worker.pem --tls-key worker.key --tls-ca ca.pem
  tutti worker --model models/dreamy --listen 10.0.0.5:7070 --insecure --threads 8
  tutti worker --model models/dreamy --listen 0.0.0.0:7070 --insecure --nats nats://nats:4222 --advertise gpu-1:7070`;

const SECURITY = {
  cert: "certificate (PEM) that this worker shows; turns TLS on",
  ca: "authority (PEM): coordinators must have a certificate that it signed",
  token: "lines of role:token (client, admin, metrics); calls need one of them",
  insecure: "listen where other machines can connect, without credentials",
};

export function workerCommand(): Command {
  const command = new Command("worker")
    .summary("serve one expert")
    .description(
      "Serves the U-Net blocks and the text encoder of one model over gRPC, until Ctrl-C or SIGTERM: then it takes no new " +
        "sessions, ends when those it has are done or have moved to another replica, and at once at a second signal.",
    )
    .option("--model <path>", "diffusers folder, or single file (.safetensors, .ckpt)")
    .option(
      "--merge <recipe>",
      "in place of a model: a recipe of tutti merge, or one merge written inline, made while weights load",
    )
    .option("--name <name>", "name to show (default: that of the folder or file)")
    .option(
      "--listen <host:port>",
      "address to listen on; port 0 takes a free one",
      "127.0.0.1:7070",
    )
    .option(
      "--http <host:port>",
      "serve /live, /ready, /status and /metrics (for Prometheus) there, over HTTPS with --tls-cert; port 0 takes a free one",
    )
    .addOption(deviceOption("what computes"))
    .addOption(precisionOption("the expert computes"))
    .option(
      "--lanes <n>",
      "calls computed at the same time, each with weights of its own; on webgpu always 1",
      wholeNumber("--lanes"),
      1,
    )
    .option("--threads <n>", "threads per lane (default: cores / lanes)", wholeNumber("--threads"))
    .option(
      "--max-sessions <n>",
      "sessions at a time",
      wholeNumber("--max-sessions"),
      DEFAULT_LIMITS.maxSessions,
    )
    .option(
      "--max-sessions-per-job <n>",
      "sessions of one job at a time (default: --max-sessions)",
      wholeNumber("--max-sessions-per-job"),
    )
    .option(
      "--max-waiting <n>",
      "sessions that may wait to be opened; jobs with the fewest open ones come first",
      wholeNumber("--max-waiting", 0),
      DEFAULT_LIMITS.maxWaiting,
    )
    .option(
      "--session-bytes <bytes>",
      "most that one session may hold",
      wholeNumber("--session-bytes"),
      DEFAULT_LIMITS.sessionBytes,
    )
    .option(
      "--arena-bytes <bytes>",
      "most that all sessions may hold together",
      wholeNumber("--arena-bytes"),
      DEFAULT_LIMITS.arenaBytes,
    )
    .option(
      "--idle-limit <seconds>",
      "close a session that asks nothing for so long",
      wholeNumber("--idle-limit"),
      DEFAULT_LIMITS.idleLimitSeconds,
    )
    .option(
      "--text-idle <seconds>",
      "unload text encoders that no prompt uses for so long; loading anew takes seconds",
      wholeNumber("--text-idle", 0),
      DEFAULT_TEXT_IDLE_SECONDS,
    )
    .option(
      "--config <folder>",
      "diffusers folder with the config.json's of a single file of unusual sizes, or its U-Net's config.json",
    )
    .option(
      "--lora <file:weight>",
      "merge a LoRA into the weights (kohya or diffusers names); several times for several",
      collectLora,
      [],
    )
    .option(
      "--planes <list>",
      "ways besides gRPC that feature maps may travel to a coordinator that can use them",
      (text: string) => parsePlaneList("--planes", text),
      PLANE_KINDS,
    )
    .option(
      "--plane-port <port>",
      "port of the tcp plane, on the address that --listen names; 0 takes a free one",
      wholeNumber("--plane-port", 0, MAX_PORT),
      0,
    )
    .option(
      "--drain-limit <seconds>",
      "after the first signal, most time for open sessions; what runs then is cut off",
      wholeNumber("--drain-limit", 0),
      DRAIN_LIMIT_MS / 1000,
    )
    .option(
      "--stop-with-stdin",
      "stop when standard input closes: with the process that started this one",
      false,
    )
    .option("--json", "print one line of JSON when ready", false)
    .addHelpText("after", EXAMPLES)
    .action((flags: WorkerFlags) => runWorker(flags));
  [...securityOptions(SECURITY), ...logOptions()].forEach((option) => command.addOption(option));
  return addRegistrationOptions(command);
}

async function runWorker(flags: WorkerFlags): Promise<void> {
  const notes = startLogging("worker", flags);
  const security = await readWorkerSecurity(flags, notes.warn);
  parseListenAddress(flags.listen, flags.insecure, security);
  if (flags.http !== undefined) {
    parseHttpAddress(flags.http, flags.insecure, pageProtection(security));
  }
  await using registration = await openRegistration(flags, notes);
  const { precision, name } = flags;
  const model = await readModel(flags);
  const { device, lanes, explanation } = await chooseDevice(flags.device, flags.lanes);
  if (explanation !== undefined) notes.note(explanation);
  const cores = navigator.hardwareConcurrency;
  const threads = flags.threads ?? Math.max(1, Math.floor(cores / lanes));
  // ONNX Runtime takes a while to load, and is not needed to print help or refuse a flag.
  const { openLocalExpert } = await import("../shared/engine/local_expert.ts");
  const opening = openLocalExpert({
    model,
    device,
    precision,
    lanes,
    threads,
    ...(name !== undefined && { name }),
    ...(flags.config !== undefined && { configFrom: flags.config }),
    loras: await Promise.all(
      flags.lora.map(async (lora) => ({ ...lora, path: await localPath(lora.path) })),
    ),
    textIdleSeconds: flags.textIdle,
  }).then(async (expert) => {
    // Ready means that a block can run: what keeps a model from it shows here, and not in somebody's image.
    await expert.loadFirst().catch(async (error) => {
      await expert.close();
      throw error;
    });
    return expert;
  });
  // Whoever waits first reports it.
  opening.catch(() => {});
  const end = watchForEnd(flags.stopWithStdin);
  try {
    await using worker = await startWorkerServer({
      expert: opening,
      listen: flags.listen,
      insecure: flags.insecure,
      ...(flags.http !== undefined && { http: flags.http }),
      security,
      lanes,
      planes: flags.planes,
      planePort: flags.planePort,
      device,
      configJson: await unetConfigJson(flags.config ?? model),
      limits: {
        maxSessions: flags.maxSessions,
        maxSessionsPerJob: flags.maxSessionsPerJob ?? flags.maxSessions,
        maxWaiting: flags.maxWaiting,
        sessionBytes: flags.sessionBytes,
        arenaBytes: flags.arenaBytes,
        idleLimitSeconds: flags.idleLimit,
      },
    });
    using _ = watchOwnSecrets(flags, security, worker, notes);
    const asked = Promise.race([end.drain, end.stop]);
    if (await Promise.race([worker.ready.then(() => true), asked.then(() => false)])) {
      const { description } = await opening;
      await registration?.start(worker, description);
      // One that serves the command that started it is nobody else's.
      await using _noted = flags.stopWithStdin ? undefined : await note(worker, flags, security);
      printLine(readyLine(worker, description, flags.json));
      await asked;
      // Whoever started this process may go while it drains.
      await Promise.race([worker.drain(flags.drainLimit * 1000), end.stop]);
    }
  } finally {
    end.dispose();
    const expert = await opening.catch(() => undefined);
    await expert?.close();
  }
}

/** For `tutti ps`. A worker without a home serves all the same. */
function note(
  worker: RunningWorker,
  { advertise: address = worker.address }: WorkerFlags,
  { tls, guard }: WorkerSecurity,
): Promise<AsyncDisposable | undefined> {
  const isSecured = tls !== undefined || guard.isOn;
  return noteWorker({ address, isSecured }).catch(() => undefined);
}

/** Certificates and tokens are renewed more often than some workers are restarted. */
function watchOwnSecrets(
  flags: WorkerFlags,
  { tls, guard }: WorkerSecurity,
  worker: RunningWorker,
  { note, warn }: Notes,
): Disposable {
  const used = tls && { pair: tls.pair, ...(tls.clientCa !== undefined && { ca: tls.clientCa }) };
  return watchSecrets(flags, used, {
    renewTls: (files) => worker.renewTls(workerTls(files)),
    renewTokens: (tokens) => guard.renew(tokens),
    ...{ note, warn },
  });
}

/** @throws {UsageError} unless there is one of both */
async function readModel({ model, merge }: WorkerFlags): Promise<ModelSource> {
  if (merge === undefined && model !== undefined) return await localPath(model);
  if (merge === undefined || model !== undefined) {
    throw new UsageError(
      `--model <path> or --merge <recipe> must say what is served: ${
        model === undefined ? "neither is given" : "both are given"
      }`,
    );
  }
  // Few workers need it.
  const { readRecipe } = await import("../shared/merging/recipe_file.ts");
  return await readRecipe(merge, "--merge");
}

/** The config of a diffusers folder, or one that was named; a single file and a merge have none of their own. */
async function unetConfigJson(model: ModelSource): Promise<string> {
  if (typeof model !== "string") return "";
  const path = model.endsWith(".json") ? model : join(model, "unet", "config.json");
  return await Deno.readTextFile(path).catch(() => "");
}

function readyLine(
  { address, httpAddress: http, httpUrl, status }: RunningWorker,
  { name, modelHash, loras }: ExpertDescription,
  json: boolean,
): string {
  const { device, precision } = status();
  return json
    ? jsonLine({ event: "ready", address, http, modelHash, name, loras, device, precision })
    : `Worker ready at ${address}: serving "${name}" (${modelHash.slice(0, 10)})${
      loras.map((lora) => ` with LoRA ${lora.name}:${lora.weight}`).join("")
    } on ${device} in ${precision}${
      httpUrl === undefined ? "" : `; health and metrics at ${httpUrl}`
    }. Ctrl-C stops it`;
}

/** How a worker is told to end. */
interface EndWatch {
  /** Settles at the first SIGINT or SIGTERM. The second ends the process as usual. */
  readonly drain: Promise<void>;
  /** Settles when standard input closes, if that counts. */
  readonly stop: Promise<void>;
  dispose(): void;
}

/** Whoever closes standard input and sends a signal, too, asks for one orderly end. */
function watchForEnd(withStdin: boolean): EndWatch {
  const drain = Promise.withResolvers<void>();
  const stop = Promise.withResolvers<void>();
  const signals: readonly Deno.Signal[] = ["SIGINT", "SIGTERM"];
  // A read that waits would keep the process alive after it has stopped.
  const reading = new AbortController();
  const unlisten = () => signals.forEach((name) => Deno.removeSignalListener(name, onSignal));
  const onSignal = () => {
    unlisten();
    drain.resolve();
  };
  signals.forEach((name) => Deno.addSignalListener(name, onSignal));
  if (withStdin) {
    Deno.stdin.readable.pipeTo(new WritableStream(), { signal: reading.signal })
      .then(stop.resolve, stop.resolve);
  }
  return {
    drain: drain.promise,
    stop: stop.promise,
    dispose: () => {
      unlisten();
      reading.abort();
    },
  };
}

/** Collects a flag that may be given several times. */
function collectLora(text: string, earlier: readonly LoraChoice[]): readonly LoraChoice[] {
  const choice = parseLoraChoice(text);
  if (choice !== undefined) return [...earlier, choice];
  throw new UsageError(`--lora must be ${LORA_CHOICE_FORM}: current value is "${text}"`);
}
