/**
 * The replicas of one expert: follows the directory, refuses who is not the expert, and orders the others by how busy and how
 * near they are. Those that were lost come last, for as long as their ban lasts.
 *
 * @module
 */

import type { ExpertDescription } from "../../../shared/engine/expert.ts";
import type { SessionLimits } from "../../../shared/wire/check_limits.ts";
import { TuttiError, WorkerError } from "../../../shared/errors.ts";
import { CONNECT_TIMEOUT_MS } from "../deadlines.ts";
import { checkReplica } from "./identity.ts";
import { Loss } from "./loss.ts";
import { Replica } from "./replica.ts";
import type { ConnectReplica } from "./replica_connection.ts";
import type { ReplicaDirectory } from "./replica_directory.ts";
import type { ReplicaListener } from "./replica_events.ts";
import { PARK_MS, REPLICA_SETTINGS, type ReplicaSettings } from "./replica_settings.ts";

export interface ReplicaPoolOptions {
  /** Of the expert, for messages. */
  readonly name: string;
  readonly directory: ReplicaDirectory;
  readonly connect: ConnectReplica;
  /** How long work waits for a replica when none is left, ms; 0 to fail at once. @default PARK_MS */
  readonly parkMs?: number;
  /** Whether a second replica is asked when the first takes longer than usual. @default false */
  readonly hedge?: boolean;
  readonly onEvent?: ReplicaListener;
  readonly settings?: Partial<ReplicaSettings>;
}

/** A session of a job, wherever it is. */
export interface JobSession {
  readonly job: string | undefined;
  /** Whether no worker that is well has it. */
  readonly isHomeless: boolean;
}

export class ReplicaPool {
  readonly name: string;
  readonly parkMs: number;
  readonly hedge: boolean;
  readonly settings: ReplicaSettings;
  readonly #options: ReplicaPoolOptions;
  readonly #replicas = new Map<string, Replica>();
  readonly #refused = new Map<string, string>();
  readonly #closing = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  /** Those that are open. */
  readonly sessions = new Set<JobSession>();
  #description: ExpertDescription | undefined;
  #limits: SessionLimits | undefined;

  constructor(options: ReplicaPoolOptions) {
    this.#options = options;
    this.name = options.name;
    this.parkMs = options.parkMs ?? PARK_MS;
    this.hedge = options.hedge ?? false;
    this.settings = { ...REPLICA_SETTINGS, ...options.settings };
  }

  /**
   * The first replica, in the directory's order, that answers says who the expert is. The others are connected to
   * meanwhile.
   *
   * @throws {TuttiError} of the first one, if none answers
   */
  async open(signal?: AbortSignal): Promise<ExpertDescription> {
    let first: unknown;
    for (const replica of this.#known()) {
      try {
        const link = replica.link(CONNECT_TIMEOUT_MS);
        const { connection } = await untilAborted(link, signal);
        for (const other of this.#known()) {
          other.link().catch((error) => other.lost(Loss.ofConnecting(error)));
        }
        return connection.expert.description;
      } catch (error) {
        if (signal?.aborted) throw error;
        replica.lost(Loss.ofConnecting(error));
        first ??= error;
      }
    }
    throw first ?? new WorkerError("UNAVAILABLE", `No worker is known for expert "${this.name}"`, {
      details: { expert: this.name },
    });
  }

  /** Empty before `open()`. */
  get modelHash(): string {
    return this.#description?.modelHash ?? "";
  }

  /** The expert that all replicas are. */
  get description(): ExpertDescription {
    if (this.#description) return this.#description;
    throw new TuttiError("FAILED_PRECONDITION", `No replica of "${this.name}" has answered yet`);
  }

  /** Of the first replica that answered. */
  get limits(): SessionLimits | undefined {
    return this.#limits;
  }

  emit(event: Parameters<ReplicaListener>[0]): void {
    this.#options.onEvent?.(event);
  }

  /** Whether work of `replica` could go elsewhere now. */
  hasSpare(replica: Replica): boolean {
    return this.#known().some((other) => other !== replica && (!other.isBanned || other.isBack));
  }

  /** Those to try, the best first. The banned ones follow: those that are back, then the one that may be asked first. */
  candidates(): Replica[] {
    const known = this.#known();
    const free = known.filter(({ isBanned }) => !isBanned);
    const banned = known.filter(({ isBanned }) => isBanned);
    return [
      ...free.sort((a, b) =>
        Number(a.isUnavailable) - Number(b.isUnavailable) || a.busyness - b.busyness ||
        a.roundTripMs - b.roundTripMs
      ),
      ...banned.sort((a, b) => Number(b.isBack) - Number(a.isBack) || a.retryAt - b.retryAt),
    ];
  }

  /** How many sessions of a job have to be opened anew. */
  homelessOf(job: string | undefined): number {
    return [...this.sessions].filter((one) => one.job === job && one.isHomeless).length;
  }

  /** So that `candidates()` goes by what is so now. */
  async refresh(): Promise<void> {
    const free = this.#known().filter(({ isBanned }) => !isBanned);
    if (free.length > 1) await Promise.all(free.map((replica) => replica.refresh()));
  }

  /** Settles at the directory's next change, or when `ms` are over. */
  async change(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const end = this.#options.directory.onChange(resolve);
    const onAbort = () => reject(cancelled());
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      end();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Ends what was lost while work goes on elsewhere; `close()` waits for it. */
  closeLater(what: { close(): Promise<void> }): void {
    const closing = what.close().catch(() => {});
    this.#closing.add(closing);
    closing.finally(() => this.#closing.delete(closing));
  }

  /** Fires when it is closed: no search goes on. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all([...this.#replicas.values()].map((replica) => replica.close()));
    await Promise.all(this.#closing);
  }

  /** What the directory says now, draining ones left out. Who is not in it any more is forgotten when its work is done. */
  #known(): Replica[] {
    const records = this.#options.directory.replicas();
    for (const [address, replica] of this.#replicas) {
      if (replica.ownWork > 0 || records.some((record) => record.address === address)) continue;
      this.#replicas.delete(address);
      this.closeLater(replica);
    }
    return records.flatMap(({ address, isDraining }) => isDraining ? [] : [this.#at(address)]);
  }

  #at(address: string): Replica {
    const known = this.#replicas.get(address);
    if (known) return known;
    const replica: Replica = new Replica({
      address,
      connect: this.#options.connect,
      settings: this.settings,
      check: ({ description, limits }) => {
        this.#check(address, description);
        this.#limits ??= limits;
      },
      hasSpare: () => this.hasSpare(replica),
      // While this one is well there is time to find out which others are back: when it is lost, that decides how soon.
      onAnswer: () => this.#replicas.forEach((other) => void other.look()),
    });
    this.#replicas.set(address, replica);
    return replica;
  }

  #check(address: string, description: ExpertDescription): void {
    this.#description ??= description;
    try {
      checkReplica(this.name, this.#description, description, address);
      this.#refused.delete(address);
    } catch (error) {
      const { message } = TuttiError.from(error);
      if (this.#refused.get(address) !== message) {
        this.#refused.set(address, message);
        this.emit({ kind: "refused", expert: this.name, worker: address, message });
      }
      throw error;
    }
  }
}

/** Waits for something that goes on without us. */
export async function untilAborted<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return await promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(cancelled());
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function cancelled(): TuttiError {
  return new TuttiError("CANCELLED", "The operation was cancelled");
}
