/**
 * Starts a worker process on this machine and waits until it serves. The worker ends with the process that
 * started it, however that one ends: it stops when its standard input closes.
 *
 * @module
 */

import type { ModelSource } from "../../shared/checkpoint/checkpoint.ts";
import { formatLoraChoice, type LoraChoice } from "../../shared/checkpoint/lora/lora_choice.ts";
import type { PrecisionChoice } from "../../shared/device/backend.ts";
import {
  type ErrorDetails,
  EXIT,
  FormatError,
  throwIfAborted,
  TuttiError,
  UsageError,
  WorkerError,
} from "../../shared/errors.ts";
import type { Device } from "../../shared/lane/protocol.ts";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { SECURITY_ENV } from "../../shared/security/security_flags.ts";
import { addOpenWorker } from "./credentials.ts";
import { readLines, Tail } from "./process_output.ts";
import { environmentWithout } from "./worker_environment.ts";

export interface SpawnOptions {
  /** Diffusers folder, single file, or a merge. */
  readonly model: ModelSource;
  readonly name: string;
  readonly threads: number;
  /** @default "cpu" */
  readonly device?: Device;
  /** @default "f32" */
  readonly precision?: PrecisionChoice;
  readonly configFrom?: string;
  readonly loras?: readonly LoraChoice[];
  readonly signal?: AbortSignal;
}

/** A worker process of ours. */
export interface SpawnedWorker extends AsyncDisposable {
  /** HOST:PORT */
  readonly address: string;
  readonly pid: number;
}

/** How long a worker may take to finish its calls before it is ended. */
const STOP_GRACE_MS = 5_000;

/** The command line of a worker, as this process would start it. */
export function workerCommand(
  { model, name, threads, device = "cpu", precision = "f32", configFrom, loras = [] }: SpawnOptions,
): string[] {
  const config = configFrom === undefined ? [] : ["--config", configFrom];
  return [
    ...["run", "--quiet", "--allow-all", MAIN_PROGRAM, "worker", "--json"],
    ...[
      ...(typeof model === "string" ? ["--model", model] : ["--merge", model.text]),
      "--name",
      name,
      "--device",
      device,
      "--precision",
      precision,
      "--threads",
      String(threads),
      ...config,
      ...loras.flatMap((choice) => ["--lora", formatLoraChoice(choice)]),
    ],
  ];
}

/**
 * @throws {TuttiError} with the worker's own code and message if it stops before it serves
 */
export async function spawnWorker(options: SpawnOptions): Promise<SpawnedWorker> {
  throwIfAborted(options.signal);
  const child = new Deno.Command(Deno.execPath(), {
    args: [...workerCommand(options), "--listen", "127.0.0.1:0", "--stop-with-stdin"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // It serves this command alone: nobody else is to find it, and what opens other workers is not for it.
    env: { ...environmentWithout(SECURITY_ENV), TUTTI_NATS: "" },
    clearEnv: true,
    // A process group of its own: Ctrl-C reaches this process alone, which cancels its calls before workers stop.
    detached: true,
  }).spawn();
  const errors = new Tail();
  const drained = errors.collect(child.stderr);
  const lines = readLines(child.stdout);
  let stopped: Promise<void> | undefined;
  const stop = () => stopped ??= endProcess(child).then(() => drained);
  const onAbort = () => void stop();
  options.signal?.addEventListener("abort", onAbort);
  try {
    const { value } = await lines.next();
    const address = readyAddress(value ?? "");
    if (address === undefined) throw await startFailure(options, child, errors, drained);
    addOpenWorker(address);
    return {
      address,
      pid: child.pid,
      [Symbol.asyncDispose]: async () => {
        await stop();
        await lines.return();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** Asks a worker to stop; one that does not is killed. */
async function endProcess(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close().catch(() => {}); // Already closed if the worker is gone.
  const timer = setTimeout(() => kill(child, "SIGKILL"), STOP_GRACE_MS);
  kill(child, "SIGTERM");
  await child.status;
  clearTimeout(timer);
}

/** The address in a line that a worker printed, if it is the one that says that it serves. */
export function readyAddress(line: string): string | undefined {
  if (!line.startsWith("{")) return undefined;
  const { event, address } = JSON.parse(line) as { event?: string; address?: string };
  return event === "ready" ? address : undefined;
}

/** What to throw for a worker that ended instead of serving: its own last words. */
async function startFailure(
  { model, name, signal }: SpawnOptions,
  child: Deno.ChildProcess,
  errors: Tail,
  drained: Promise<unknown>,
): Promise<TuttiError> {
  const { code } = await child.status;
  await drained;
  if (signal?.aborted) return new TuttiError("CANCELLED", "The operation was cancelled");
  const said = errors.text.trim().replace(/^error: /, "") || `exit code ${code}`;
  return startError(name, code, said, { model: typeof model === "string" ? model : model.text });
}

/**
 * The error of a worker that did not start. Its exit code tells whose fault it was: a bad file or a wrong flag stays
 * one, whatever else is a worker that cannot be reached.
 */
export function startError(
  name: string,
  exitCode: number | undefined,
  reason: string,
  details: ErrorDetails,
): TuttiError {
  const message = `Worker "${name}" did not start: ${reason}`;
  const options = { details: { ...details, name } };
  if (exitCode === EXIT.badInput) return new FormatError(message, options);
  if (exitCode === EXIT.usage) return new UsageError(message, options);
  return new WorkerError("UNAVAILABLE", message, options);
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // It has ended already.
  }
}
