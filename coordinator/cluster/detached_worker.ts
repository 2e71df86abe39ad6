/** Workers that outlive the command that started them: their own session, output in a log file. @module */

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { TuttiError } from "../../shared/errors.ts";
import { NATS_ENV, type NatsFlags } from "../../shared/nats/nats_flags.ts";
import { stateFolder } from "../../shared/state_folder.ts";
import { SECURITY_ENV, type SecurityFlags } from "../../shared/security/security_flags.ts";
import { TOKEN_ENV } from "../../shared/security/token_file.ts";
import { delay } from "./delay.ts";
import { recordedLoras } from "./expert_loras.ts";
import { formerAddress, rememberAddress } from "./former_address.ts";
import { readyAddress, type SpawnOptions, startError, workerCommand } from "./spawn_worker.ts";
import {
  isWorkerProcess,
  recordedModel,
  removeRecord,
  type WorkerRecord,
  writeRecord,
} from "./worker_records.ts";
import { environmentWithout } from "./worker_environment.ts";

export interface DetachedOptions extends SpawnOptions {
  /** HOST:PORT; port 0 takes the one that it had last, else a free one. */
  readonly listen: string;
  /** What it is to be called with. */
  readonly security?: SecurityFlags;
  readonly ensemble: string;
  /** Where it announces itself. */
  readonly nats?: NatsFlags;
}

const POLL_MS = 50;
/** Full-size checkpoints take long to hash the first time. */
const READY_TIMEOUT_MS = 300_000;
/** A worker that stops finishes its sessions first: its own limit is 25 s. */
const STOP_TIMEOUT_MS = 30_000;

/**
 * Starts a worker and waits until it serves.
 *
 * @throws {TuttiError} with the worker's last words if it stops before that
 */
export async function startDetachedWorker(options: DetachedOptions): Promise<WorkerRecord> {
  const logs = join(stateFolder(), "logs");
  await Deno.mkdir(logs, { recursive: true });
  const log = join(logs, `${options.ensemble}-${options.name}.log`);
  const output = openSync(log, "w");
  const { security = {} } = options;
  const hasEnvToken = takesEnvToken(security);
  const isSecured = hasCredentials(security);
  const child = spawn(Deno.execPath(), [
    ...workerCommand(options),
    "--listen",
    await formerAddress(options, options.listen),
    ...securityArgs(security),
  ], {
    detached: true,
    stdio: ["ignore", output, output],
    // Not as arguments: everyone on the machine can read those, and a URL may hold a password.
    env: {
      ...environmentWithout(SECURITY_ENV.filter((name) => name !== TOKEN_ENV || !hasEnvToken)),
      ...natsEnvironment(options.nats),
    },
  });
  closeSync(output);
  let exitCode: number | undefined;
  child.on("exit", (code) => exitCode = code ?? 1);
  child.unref();

  const failed = (code: number | undefined, reason: string) =>
    startError(options.name, code, `${reason} (log: ${log})`, { log });
  const end = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const text = await Deno.readTextFile(log);
    // The last line may be half-written.
    const ready = text.split("\n").slice(0, -1).map(readyAddress).find((address) => address);
    if (ready !== undefined) {
      const record = {
        pid: child.pid!,
        address: ready,
        name: options.name,
        model: await recordedModel(options.model),
        ...(options.loras && { loras: await recordedLoras(options.loras) }),
        ensemble: options.ensemble,
        ...(isSecured && { isSecured }),
        startedAt: new Date().toISOString(),
        log,
      };
      await writeRecord(record);
      await rememberAddress(record);
      return record;
    }
    if (exitCode !== undefined) {
      throw failed(exitCode, lastWords(text) || `exit code ${exitCode}`);
    }
    if (options.signal?.aborted || performance.now() > end) {
      child.kill("SIGTERM");
      if (options.signal?.aborted) throw new TuttiError("CANCELLED", "The operation was cancelled");
      throw failed(undefined, `it was not ready after ${READY_TIMEOUT_MS / 1000} s`);
    }
    await delay(POLL_MS);
  }
}

/** Whether a worker that is started with these asks for credentials, or shows a certificate. */
export function hasCredentials({ insecure: _, ...paths }: SecurityFlags): boolean {
  return takesEnvToken(paths) || securityArgs(paths).length > 0;
}

function takesEnvToken({ tokenFile }: SecurityFlags): boolean {
  return tokenFile === undefined && Boolean(Deno.env.get(TOKEN_ENV));
}

/** All of them: one that is missing would be taken from this process. */
function natsEnvironment(flags: NatsFlags = {}): Record<string, string> {
  const names = Object.entries(NATS_ENV) as [keyof NatsFlags, string][];
  return Object.fromEntries(names.map(([flag, name]) => [name, flags[flag] ?? ""]));
}

/** Paths, which anyone may see; tokens themselves stay in their file or the environment. */
function securityArgs({ tlsCert, tlsKey, tlsCa, tokenFile, insecure }: SecurityFlags): string[] {
  const paths = {
    "--tls-cert": tlsCert,
    "--tls-key": tlsKey,
    "--tls-ca": tlsCa,
    "--token-file": tokenFile,
  };
  const args = Object.entries(paths).flatMap(([flag, path]) =>
    path === undefined ? [] : [flag, path]
  );
  return insecure ? [...args, "--insecure"] : args;
}

/** Ends a worker: first asked to finish its calls, then, if it does not, killed. Its record goes with it. */
export async function stopDetachedWorker(record: WorkerRecord): Promise<void> {
  const isAlive = () => isWorkerProcess(record);
  signalProcess(record.pid, "SIGTERM");
  const end = performance.now() + STOP_TIMEOUT_MS;
  while (await isAlive() && performance.now() < end) await delay(POLL_MS);
  if (await isAlive()) signalProcess(record.pid, "SIGKILL");
  await removeRecord(record);
}

function signalProcess(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The worker's error message. */
function lastWords(log: string): string {
  return log.split("\n").filter((line) => line.startsWith("error: ")).at(-1)?.slice(
    "error: ".length,
  ) ?? "";
}
