/**
 * Workers that `tutti up` left running on this machine: one small file each in the user's state folder, so that
 * `sample`, `ps` and `down` find them. A record of a process that is gone is removed when it is met.
 *
 * @module
 */

import { join } from "node:path";
import type { ModelSource } from "../../shared/checkpoint/checkpoint.ts";
import { TuttiError } from "../../shared/errors.ts";
import { stateFolder } from "../../shared/state_folder.ts";
import { formatAddress } from "../../shared/wire/address.ts";
import { writeWholeFile } from "../../shared/whole_file.ts";
import { addOpenWorker } from "./credentials.ts";
import type { EnsembleExpert } from "./ensemble_file.ts";
import { otherLoras, recordedLoras } from "./expert_loras.ts";

export interface WorkerRecord {
  readonly pid: number;
  /** HOST:PORT */
  readonly address: string;
  readonly name: string;
  /** Real path of the weights, or who a merge is, as `recordedModel()` writes it. */
  readonly model: string;
  /** Merged into them, as `recordedLoras()` writes them. */
  readonly loras?: readonly string[];
  /** Whether it asks for credentials, or shows a certificate. */
  readonly isSecured?: boolean;
  /** Name of the ensemble that it was started for. */
  readonly ensemble: string;
  readonly startedAt: string;
  readonly log: string;
}

/** Which of the running workers can be an expert's. */
export interface WantedWorkers
  extends Partial<Pick<EnsembleExpert, "name" | "loras" | "addresses">> {
  /** Name of the ensemble: where the file gives addresses, only workers there and those of this ensemble count. */
  readonly ensemble?: string;
  /** Whether they are to have credentials. @default either */
  readonly isSecured?: boolean;
}

const recordFolder = () => join(stateFolder(), "workers");

export async function writeRecord(record: WorkerRecord): Promise<void> {
  await Deno.mkdir(recordFolder(), { recursive: true });
  const path = join(recordFolder(), `${record.pid}.json`);
  await writeWholeFile(path, JSON.stringify(record, null, 2) + "\n");
}

export async function removeRecord({ pid }: Pick<WorkerRecord, "pid">): Promise<void> {
  await Deno.remove(join(recordFolder(), `${pid}.json`)).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
}

/** Records of processes that are alive, oldest first. Those without credentials are called without from now on. */
export async function listRecords(): Promise<WorkerRecord[]> {
  const records: WorkerRecord[] = [];
  try {
    for await (const { name } of Deno.readDir(recordFolder())) {
      if (!name.endsWith(".json")) continue;
      const record = await readRecord(join(recordFolder(), name));
      if (record && await isWorkerProcess(record)) {
        records.push(record);
        if (!record.isSecured) addOpenWorker(record.address);
      } else await Deno.remove(join(recordFolder(), name)).catch(() => {});
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return records.sort((a, b) => a.startedAt.localeCompare(b.startedAt));
}

/**
 * The running workers that serve these weights with these LoRAs, as far as `tutti up` left some; the oldest first.
 *
 * @throws {TuttiError} FAILED_PRECONDITION if all that it left for this expert have other LoRAs, or credentials where none
 *   are wanted, or none where some are
 */
export async function findRunningWorkers(
  model: ModelSource,
  { name, loras = [], addresses, ensemble, isSecured }: WantedWorkers = {},
): Promise<WorkerRecord[]> {
  let weights: string;
  try {
    weights = await recordedModel(model);
  } catch {
    return []; // Whoever opens the model says that it is not there.
  }
  const wanted = (await recordedLoras(loras)).join("\n");
  const fixed = addresses && new Set(addresses.map(formatAddress));
  const records = (await listRecords()).filter((record) =>
    record.model === weights &&
    (!fixed || fixed.has(record.address) || record.ensemble === ensemble)
  );
  const matches = records.filter((record) => (record.loras ?? []).join("\n") === wanted);
  const other = records.find((record) => record.name === name);
  if (matches.length > 0) return withSecurity(matches, isSecured, name);
  if (!other) return [];
  throw otherLoras(
    { name: other.name, address: other.address, running: other.loras ?? [] },
    `stop it with "tutti down ${other.ensemble}" first`,
  );
}

/** Weights as a record keeps them. Merges with the same result are the same, whatever recipe they stand in. */
export async function recordedModel(model: ModelSource): Promise<string> {
  if (typeof model === "string") return await Deno.realPath(model);
  // Few experts are merges, and most commands that read records open no model.
  const { openCheckpoint } = await import("../../shared/checkpoint/checkpoint.ts");
  const { merged } = await openCheckpoint(model);
  return `merge ${merged!.hash}`;
}

/** Those that can be called as this side calls them. */
function withSecurity(
  records: readonly WorkerRecord[],
  isSecured: boolean | undefined,
  name = records[0]!.name,
): WorkerRecord[] {
  const matches = records.filter((record) =>
    isSecured === undefined || (record.isSecured ?? false) === isSecured
  );
  if (matches.length > 0) return matches;
  const { address, ensemble } = records[0]!;
  const stop = `stop it with "tutti down ${ensemble}" first`;
  throw new TuttiError(
    "FAILED_PRECONDITION",
    isSecured
      ? `Expert "${name}" runs at ${address} without credentials, and this ensemble wants them: ${stop}`
      : `Expert "${name}" runs at ${address} with credentials, and here are none: ` +
        `name them ([security] of the file, --tls-ca, --token-file), or ${stop}`,
    { details: { worker: address, field: "security" } },
  );
}

async function readRecord(path: string): Promise<WorkerRecord | undefined> {
  try {
    const record = JSON.parse(await Deno.readTextFile(path)) as WorkerRecord;
    const { pid, address, name } = record;
    return Number.isSafeInteger(pid) && typeof address === "string" && typeof name === "string"
      ? record
      : undefined;
  } catch {
    return undefined; // Half-written or foreign: nothing that can be used.
  }
}

/** Whether the process of a record is alive and is that worker: ids are used again. */
export async function isWorkerProcess(
  { pid, name }: Pick<WorkerRecord, "pid" | "name">,
): Promise<boolean> {
  try {
    const args = (await Deno.readTextFile(`/proc/${pid}/cmdline`)).split("\0");
    return args.includes("worker") && args.includes(name);
  } catch {
    if (Deno.build.os === "linux") return false;
  }
  // Elsewhere there is no /proc: signal 0 tells whether the process is there.
  const { success } = await new Deno.Command("kill", { args: ["-0", String(pid)], stderr: "null" })
    .output();
  return success;
}
