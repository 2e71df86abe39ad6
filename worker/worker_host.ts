/**
 * What the calls of one worker share: the expert, who is admitted, how busy it is, and whether it drains or stops.
 *
 * @module
 */

import type { BlockExpert } from "../shared/engine/block_expert.ts";
import { type TuttiError, WorkerError } from "../shared/errors.ts";
import type { Device } from "../shared/lane/protocol.ts";
import type { Versions, WorkerDescription } from "../shared/wire/convert_description.ts";
import type { WorkerState, WorkerStatus } from "../shared/wire/convert_status.ts";
import type { WorkerLimits } from "../shared/wire/limits.ts";
import { PROTOCOL, TUTTI_VERSION } from "../shared/wire/version.ts";
import { retryAfter } from "./admission/refusal.ts";
import { SessionAdmission } from "./admission/session_admission.ts";
import { SessionRegistry } from "./admission/session_registry.ts";
import { JobFences } from "./job_fences.ts";
import { LoadMeter } from "./load_meter.ts";
import type { BlockTimes } from "./metrics/block_times.ts";
import { WorkerMetrics } from "./metrics/worker_metrics.ts";
import type { PlaneHost } from "./plane/plane_host.ts";
import { WorkerLog } from "./worker_log.ts";

export interface WorkerHostOptions {
  readonly limits: WorkerLimits;
  readonly lanes: number;
  readonly configJson: string;
  /** What the expert computes on. @default what its fingerprint says */
  readonly device?: Device;
  readonly planes: PlaneHost;
  /** Whether it counts and measures for pages, which costs up to 0.1 ms a block. */
  readonly hasPages: boolean;
}

export class WorkerHost {
  readonly limits: WorkerLimits;
  readonly sessions: SessionRegistry;
  readonly admission: SessionAdmission;
  readonly fences = new JobFences();
  readonly load: LoadMeter;
  readonly planes: PlaneHost;
  readonly log = new WorkerLog();
  /** Undefined where no page shows them. */
  readonly metrics: WorkerMetrics | undefined;
  readonly #configJson: string;
  readonly #device: Device | undefined;
  readonly #startedAt = performance.now();
  readonly #drain = new AbortController();
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #expert: BlockExpert | undefined;
  #blocksRun = 0;
  #computeSeconds = 0;
  /** When draining ends at the latest, ms as of `performance.now()`. */
  #drainEnd = Infinity;

  constructor({ limits, lanes, configJson, device, planes, hasPages }: WorkerHostOptions) {
    this.limits = limits;
    this.planes = planes;
    this.sessions = new SessionRegistry(limits);
    this.admission = new SessionAdmission(this.sessions, limits);
    this.load = new LoadMeter(lanes, limits.maxCalls);
    this.#configJson = configJson;
    this.#device = device;
    if (hasPages) {
      this.metrics = new WorkerMetrics({
        status: () => this.status(),
        description: () => this.#expert?.description,
      });
    }
  }

  /** Fires when the worker begins to stop. */
  get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  /** Fires when the worker begins to drain. */
  get draining(): AbortSignal {
    return this.#drain.signal;
  }

  get state(): WorkerState {
    if (this.#stop.signal.aborted) return "stopping";
    if (this.#drain.signal.aborted) return "draining";
    return this.#expert ? "serving" : "loading";
  }

  /** @throws {WorkerError} UNAVAILABLE while the model is loading, and once the worker stops */
  get expert(): BlockExpert {
    if (this.#stop.signal.aborted) throw stoppingError();
    if (this.#expert) return this.#expert;
    throw new WorkerError("UNAVAILABLE", "The worker is still loading its model", {
      details: { state: "loading" },
    });
  }

  serve(expert: BlockExpert): void {
    this.#expert = expert;
  }

  /** @param blocks how many the range has that a session ran */
  countRange(times: BlockTimes, blocks: number): void {
    this.#blocksRun += blocks;
    this.#computeSeconds += times.computeMs / 1000;
    this.metrics?.range(times);
  }

  /** From now on no session is opened. */
  beginDrain(limitMs: number): void {
    this.#drainEnd = performance.now() + limitMs;
    this.#drain.abort();
    this.admission.close(this.drainingError());
  }

  beginStop(): void {
    this.#stop.abort();
    this.admission.close(stoppingError());
  }

  /** What a new session hears of a worker that drains, and with `handover` an open one that is to go on elsewhere. */
  drainingError({ handover = false } = {}): TuttiError {
    const text = handover
      ? "The worker is draining: the session must go on at another replica"
      : "The worker is draining: it takes no new sessions";
    return new WorkerError("UNAVAILABLE", text, {
      details: {
        state: "draining",
        ...(handover && { handover: "true" }),
        // By then this process is gone, and there may be another one at its address.
        ...retryAfter(this.#drainEnd - performance.now()),
      },
    });
  }

  /** Remembers work until it ends, so that `idle()` can wait for it. */
  track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(() => {}, () => {}).then(() => void this.#running.delete(settled));
    this.#running.add(settled);
    return work;
  }

  /** Settles when no call and no session is left. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  describe(): WorkerDescription {
    return {
      versions: this.#versions(),
      expert: this.expert.description,
      configJson: this.#configJson,
      limits: this.limits,
    };
  }

  status(): WorkerStatus {
    const description = this.#expert?.description;
    return {
      state: this.state,
      name: description?.name ?? "",
      modelHash: description?.modelHash ?? "",
      versions: this.#versions(),
      device: description ? this.#device ?? description.fingerprint.device : "",
      precision: description?.fingerprint.precision ?? "",
      uptimeSeconds: (performance.now() - this.#startedAt) / 1000,
      lanes: this.load.lanes,
      busyLanes: this.load.busyLanes,
      queueDepth: this.load.queueDepth,
      sessions: this.sessions.size,
      maxSessions: this.limits.maxSessions,
      waitingSessions: this.admission.waiting,
      arenaBytesUsed: this.sessions.usedBytes,
      arenaBytesLeft: this.sessions.leftBytes,
      residentBytes: Deno.memoryUsage().rss,
      blocksRun: this.#blocksRun,
      computeSeconds: this.#computeSeconds,
      ...(this.#expert?.loading && { loading: this.#expert.loading }),
    };
  }

  #versions(): Versions {
    return {
      protocol: PROTOCOL,
      tutti: TUTTI_VERSION,
      deno: Deno.version.deno,
      runtime: this.#expert?.description.fingerprint.runtime ?? "",
    };
  }
}

/** What a client hears when its call meets a worker that stops. */
export function stoppingError(): TuttiError {
  return new WorkerError("UNAVAILABLE", "The worker is stopping", {
    details: { state: "stopping" },
  });
}
