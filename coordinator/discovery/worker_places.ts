/**
 * Which workers a command asks about: those that it names, those that run on this machine, those of an ensemble
 * file, those that announce themselves over NATS.
 *
 * @module
 */

import { TuttiError, WorkerError } from "../../shared/errors.ts";
import type { NatsFlags } from "../../shared/nats/nats_flags.ts";
import { natsOptions } from "../../shared/nats/nats_options.ts";
import type { WorkerAnnouncement } from "../../shared/nats/worker_announcement.ts";
import { formatAddress, parseAddress } from "../../shared/wire/address.ts";
import { notedWorkers } from "../../shared/running_workers.ts";
import { addOpenWorker } from "../cluster/credentials.ts";
import { loadEnsembleFile } from "../cluster/ensemble_file.ts";
import { listRecords } from "../cluster/worker_records.ts";
import type { Discovery } from "./discovery.ts";

export interface WorkerPlacesFlags extends NatsFlags {
  readonly ensemble?: string;
  readonly workers?: string;
}

/** Where a worker should be. */
export interface WorkerPlace {
  /** HOST:PORT */
  readonly address: string;
  /** What it last said of itself over NATS. */
  readonly announced?: WorkerAnnouncement;
}

/** A worker's answer, or why there is none. */
export type WorkerAnswer<T> =
  & WorkerPlace
  & ({ readonly answer: T } | { readonly error: TuttiError });

export class WorkerPlaces implements AsyncDisposable {
  /** Those that do not change while the command runs. */
  readonly #named: readonly string[];
  readonly #hasRecords: boolean;
  readonly #discovery: Discovery | undefined;

  private constructor(named: readonly string[], hasRecords: boolean, discovery?: Discovery) {
    this.#named = named;
    this.#hasRecords = hasRecords;
    this.#discovery = discovery;
  }

  /**
   * @param command its name, for the NATS server
   * @param onNotice told how the connection to NATS fares
   * @throws {TuttiError} if a flag or the ensemble file is wrong, or NATS refuses
   */
  static async open(
    flags: WorkerPlacesFlags,
    command: string,
    onNotice: (text: string) => void,
  ): Promise<WorkerPlaces> {
    const { ensemble, workers } = flags;
    if (workers !== undefined) {
      const named = workers.split(/[,+]/).map((text) => formatAddress(parseAddress(text.trim())));
      return new WorkerPlaces([...new Set(named)], false);
    }
    const listed = ensemble === undefined ? [] : (await loadEnsembleFile(ensemble)).experts;
    const named = listed.flatMap(({ addresses }) => addresses?.map(formatAddress) ?? []);
    const nats = await natsOptions(flags, command);
    if (nats === undefined) return new WorkerPlaces(named, true);
    const { Discovery } = await import("./discovery.ts");
    return new WorkerPlaces(named, true, await Discovery.open(nats, { onNotice }));
  }

  /** As things are now. */
  async list(): Promise<WorkerPlace[]> {
    const local = this.#hasRecords ? await localWorkers() : [];
    const announced = new Map(
      this.#discovery?.view.workers().map((worker) => [worker.address, worker]),
    );
    const addresses = [...local, ...this.#named];
    return [...new Set([...addresses, ...announced.keys()])].map((address) => {
      const worker = announced.get(address);
      return { address, ...(worker && { announced: worker }) };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#discovery?.[Symbol.asyncDispose]();
  }
}

/** Addresses of those that `tutti up` left running and of those that were started by hand. */
async function localWorkers(): Promise<string[]> {
  const [records, noted] = await Promise.all([listRecords(), notedWorkers()]);
  // A port that is open to everybody is called without credentials.
  noted.filter(({ isSecured }) => !isSecured).forEach(({ address }) => addOpenWorker(address));
  return [...records, ...noted].map(({ address }) => address);
}

/** Never rejects. */
export async function askWorker<T>(
  place: WorkerPlace,
  ask: (address: string) => Promise<T>,
): Promise<WorkerAnswer<T>> {
  try {
    return { ...place, answer: await ask(place.address) };
  } catch (error) {
    return { ...place, error: TuttiError.from(error) };
  }
}

/** The word for a worker that gave no answer: it wants other credentials, or it is not there. */
export function stateWithoutAnswer(error: TuttiError): "refused" | "unreachable" {
  return isRefused(error) ? "refused" : "unreachable";
}

function isRefused({ code, details }: TuttiError): boolean {
  return code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED" || details.field === "tls";
}

/**
 * To be called when all that is known has been printed: the exit code tells of the rest.
 *
 * @throws {WorkerError} UNAUTHENTICATED if all refuse, UNAVAILABLE if one that `--workers` names cannot be reached
 */
export function checkNamedReached(
  { workers }: WorkerPlacesFlags,
  answers: readonly WorkerAnswer<unknown>[],
): void {
  if (answers.length > 0 && answers.every((one) => "error" in one && isRefused(one.error))) {
    throw new WorkerError(
      "UNAUTHENTICATED",
      `All ${answers.length} workers refuse this side's credentials: name others (--token-file, --tls-ca)`,
      { details: { workers: answers.map(({ address }) => address).join(",") } },
    );
  }
  if (workers === undefined) return;
  const missing = answers.filter((answer) =>
    "error" in answer && stateWithoutAnswer(answer.error) === "unreachable"
  ).map(({ address }) => address);
  if (missing.length === 0) return;
  throw new WorkerError(
    "UNAVAILABLE",
    `${missing.length} of ${answers.length} workers cannot be reached: ${missing.join(", ")}`,
    { details: { workers: missing.join(",") } },
  );
}

/** What a program is told of a worker that gave no answer. */
export function withoutAnswer(
  { address, announced }: WorkerPlace,
  { code, message }: TuttiError,
): Record<string, string> {
  return {
    address,
    ...(announced && { name: announced.name, modelHash: announced.modelHash }),
    error: message,
    code,
  };
}
