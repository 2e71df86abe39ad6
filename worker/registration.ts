/**
 * A worker's announcement over NATS, kept alive for as long as the worker runs. Nothing here ever disturbs serving: while
 * NATS is away the worker goes on and tries again, and when it is back the worker is announced at once.
 *
 * @module
 */

import { type KV, type Msg, StorageType, type Subscription } from "nats";
import type { ExpertDescription } from "../shared/engine/expert.ts";
import { TuttiError } from "../shared/errors.ts";
import { JETSTREAM_TIMEOUT_MS, Nats } from "../shared/nats/connect.ts";
import type { NatsOptions } from "../shared/nats/nats_options.ts";
import { isAway } from "../shared/nats/nats_errors.ts";
import {
  decodeAnnouncement,
  encodeAnnouncement,
  LEASE_MS,
  MAX_ANNOUNCEMENT_BYTES,
  REFRESH_MS,
  type WorkerAnnouncement,
  WORKERS_BUCKET,
} from "../shared/nats/worker_announcement.ts";
import { type Notes, roleLogger } from "../shared/telemetry/logging.ts";
import type { WorkerState, WorkerStatus } from "../shared/wire/convert_status.ts";
import type { PlaneKind } from "../shared/wire/plane/plane_kind.ts";
import { randomId } from "./worker_identity.ts";

/** What a router wants to know. */
type Load = Pick<
  WorkerStatus,
  "lanes" | "busyLanes" | "queueDepth" | "sessions" | "maxSessions" | "arenaBytesLeft"
>;

/** What does not change while the worker runs. */
export interface RegisteredWorker {
  readonly id: string;
  /** HOST:PORT at which coordinators reach it. */
  readonly address: string;
  readonly planes: readonly PlaneKind[];
  readonly expert: ExpertDescription;
  /** What does. */
  status(): Pick<WorkerStatus, "state" | "versions" | keyof Load>;
}

export interface RegistrationOptions {
  /** A line for people, when something changes. */
  readonly onNotice?: (text: string, kind: keyof Notes) => void;
  /** @default REFRESH_MS */
  readonly refreshMs?: number;
}

/** Wait for a server that does not answer the first time, ms. */
const FIRST_RETRY_MS = 1_000;
/** Workers with our id that are told of: whoever makes them up shall not fill logs. */
const MAX_TWINS = 20;
/** How often to look whether the worker drains, ms. */
const STATE_CHECK_MS = 250;

/** The connection comes first, so that a wrong login is told before a model is loaded. */
export class Registration implements AsyncDisposable {
  readonly #options: NatsOptions;
  readonly #notice: (text: string, kind: keyof Notes) => void;
  readonly #refreshMs: number;
  readonly #boot = randomId();
  readonly #end = new AbortController();
  readonly #twins = new Set<string>();
  #nats: Nats | undefined;
  #bucket: KV | undefined;
  #own: Subscription | undefined;
  #worker: RegisteredWorker | undefined;
  #count = 0;
  /** As last announced. */
  #state: WorkerState | undefined;
  #running: Promise<void> | undefined;
  #wake = () => {};
  #problem: string | undefined;

  private constructor(options: NatsOptions, { onNotice, refreshMs }: RegistrationOptions) {
    this.#options = options;
    this.#notice = onNotice ?? (() => {});
    this.#refreshMs = refreshMs ?? REFRESH_MS;
  }

  /**
   * Connects. A server that is away is waited for in the background.
   *
   * @throws {TuttiError} if the server answers and refuses the login, or has no JetStream
   */
  static async open(
    options: NatsOptions,
    settings: RegistrationOptions = {},
  ): Promise<Registration> {
    const registration = new Registration(options, settings);
    try {
      await registration.#connect();
    } catch (error) {
      if (!isAway(error)) throw error;
      registration.#fail(TuttiError.from(error));
    }
    return registration;
  }

  /** From now on the worker is announced. */
  start(worker: RegisteredWorker): void {
    this.#worker = worker;
    this.#running = this.#run(worker);
  }

  /** Takes the announcement back, if NATS is there. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    this.#wake();
    await this.#running;
    const nats = this.#nats;
    if (!nats) return;
    if (this.#worker && this.#twins.size === 0 && nats.isConnected) {
      // Without it the lease ends by itself.
      await this.#bucket?.delete(this.#worker.id).catch(() => {});
      roleLogger("worker").info("announcement taken back", { id: this.#worker.id });
    }
    await nats[Symbol.asyncDispose]();
  }

  async #run(worker: RegisteredWorker): Promise<void> {
    while (!this.#end.signal.aborted) {
      try {
        if (!this.#nats || this.#nats.connection.isClosed()) await this.#connect();
        if (this.#nats!.isConnected) await this.#announceOnce(worker);
        else this.#fail(this.#nats!.error({ code: "DISCONNECT" }, "announcing this worker"));
        await this.#untilDue(worker);
      } catch (error) {
        this.#fail(TuttiError.from(error));
        await this.#pause(FIRST_RETRY_MS);
      }
    }
  }

  async #connect(): Promise<void> {
    const nats = await Nats.connect({ ...this.#options, signal: this.#end.signal });
    try {
      await nats.jetStream();
    } catch (error) {
      await nats[Symbol.asyncDispose]();
      throw error;
    }
    nats.onChange(() => this.#wake());
    this.#nats = nats;
    this.#bucket = undefined;
    this.#own = undefined;
  }

  async #announceOnce(worker: RegisteredWorker): Promise<void> {
    const nats = this.#nats!;
    const bytes = encodeAnnouncement(this.#announcement(worker));
    try {
      this.#bucket ??= await openBucket(nats);
      this.#own ??= this.#watchOwnKey(nats, worker);
      await this.#bucket.put(worker.id, bytes).catch(async () => {
        // It may be gone with the server's store.
        this.#bucket = await openBucket(nats);
        await this.#bucket.put(worker.id, bytes);
      });
    } catch (error) {
      throw nats.error(error, "announcing this worker");
    }
    if (this.#problem !== undefined || this.#count === 1) {
      this.#notice(
        `Announced to NATS at ${nats.servers} as ${worker.id}, at ${worker.address}`,
        "note",
      );
    }
    this.#problem = undefined;
  }

  #announcement(worker: RegisteredWorker): WorkerAnnouncement {
    const { id, address, planes, expert } = worker;
    const { state, versions, lanes, busyLanes, queueDepth, sessions, maxSessions, arenaBytesLeft } =
      worker.status();
    this.#state = state;
    const { name, modelHash, family, blocks, fingerprint } = expert;
    return {
      id,
      boot: this.#boot,
      count: ++this.#count,
      address,
      name,
      modelHash,
      family,
      blocks: blocks.map((block) => block.id),
      planes,
      versions,
      fingerprint,
      ...{ lanes, busyLanes, queueDepth, sessions, maxSessions, arenaBytesLeft },
      draining: state !== "serving",
    };
  }

  /** Whoever else writes under our id is another worker with our id, such as a copy of this machine. */
  #watchOwnKey(nats: Nats, worker: RegisteredWorker): Subscription {
    const callback = (error: Error | null, message: Msg) => {
      if (error) this.#own = undefined;
      else if (message.data.length > 0) this.#checkTwin(worker, message.data);
    };
    return nats.connection.subscribe(`$KV.${WORKERS_BUCKET}.${worker.id}`, { callback });
  }

  #checkTwin(worker: RegisteredWorker, bytes: Uint8Array): void {
    try {
      const { boot, address } = decodeAnnouncement(worker.id, bytes);
      if (boot === this.#boot || this.#twins.has(boot) || this.#twins.size >= MAX_TWINS) return;
      this.#twins.add(boot);
      this.#notice(
        `another worker has the id ${worker.id} of this one: it is at ${address}, this one ` +
          `at ${worker.address}. Start one of them with a --state folder of its own`,
        "warn",
      );
    } catch {
      // What is no announcement is no worker.
    }
  }

  /** Each problem is told once, not at every attempt. */
  #fail({ code, message }: TuttiError): void {
    if (this.#problem === code || this.#end.signal.aborted) return;
    this.#problem = code;
    this.#notice(
      `${message}. The worker goes on serving, and is announced when that is mended`,
      "warn",
    );
  }

  /** Until the next refresh; a worker that begins to drain says so at once. */
  async #untilDue(worker: RegisteredWorker): Promise<void> {
    const due = performance.now() + this.#refreshMs;
    while (performance.now() < due && worker.status().state === this.#state) {
      if (await this.#pause(STATE_CHECK_MS)) return;
    }
  }

  /** @returns whether it ended early, because the connection has changed or the worker ends */
  async #pause(ms: number): Promise<boolean> {
    if (this.#end.signal.aborted) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), ms);
    this.#wake = () => resolve(true);
    const isEarly = await promise;
    clearTimeout(timer);
    return isEarly;
  }
}

/** Made by the first worker that needs it. In memory: after a restart of the server nothing in it would be true. */
function openBucket(nats: Nats): Promise<KV> {
  const jetStream = nats.connection.jetstream({ timeout: JETSTREAM_TIMEOUT_MS });
  return jetStream.views.kv(WORKERS_BUCKET, {
    history: 1,
    ttl: LEASE_MS,
    maxValueSize: MAX_ANNOUNCEMENT_BYTES,
    storage: StorageType.Memory,
    description: "Tutti's workers, while they live",
  });
}
