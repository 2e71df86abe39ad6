/**
 * What a coordinator counts and measures, in a registry of its own: events are told as they happen.
 *
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { ProcessMetrics } from "../../shared/telemetry/process_metrics.ts";
import { PROTOCOL, TUTTI_VERSION } from "../../shared/wire/version.ts";
import type { ReplicaEvent } from "../cluster/replicas/replica_events.ts";
import type { Backlog } from "../jobs/queue/job_queue.ts";
import type { CoordinatorEvent } from "../jobs/queue/run_coordinator.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";

/** What of a segment is counted. */
export type MeasuredSegment = Pick<SegmentReport, "experts" | "aggregateMs">;

/** Seconds: from a small block on this machine to a block of SDXL on a few cores. */
const SEGMENT_BUCKETS = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
  ...[0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
];
/** Seconds: a worker is noticed to be lost within 2. */
const DETECT_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30];

export class CoordinatorMetrics {
  readonly registry = new Registry();
  readonly #process = new ProcessMetrics(this.registry);
  /** Names of the experts, in their order. */
  #experts: readonly string[] = [];
  readonly #running = new Set<string>();
  #isReady = false;
  #whyWaiting = "The coordinator has not asked the queue for jobs yet";
  #backlog: (() => Promise<Backlog>) | undefined;

  readonly #jobs = this.#counter(
    "tutti_coordinator_jobs_total",
    "What jobs came to, by event (started, done, returned to the queue, failed, lost to another coordinator) and code of the error",
    ["event", "code"],
  );
  readonly #jobsRunning = this.#gauge("tutti_coordinator_jobs_running", "Jobs that are drawn now");
  readonly #isAsking = this.#gauge(
    "tutti_coordinator_ready",
    "1 while the coordinator asks the queue for jobs",
  );
  readonly #queue = this.#gauge(
    "tutti_queue_jobs",
    "Jobs of the ensemble by state (waiting: nobody has taken it; taken): the queue's own count, the same at each of its coordinators, so take the maximum and not the sum",
    ["state"],
  );
  readonly #oldest = this.#gauge(
    "tutti_queue_oldest_waiting_seconds",
    "Age of the job of the ensemble that has waited longest, 0 if none waits; the same at each of its coordinators",
  );
  readonly #roundTrips = this.#histogram(
    "tutti_coordinator_round_trip_seconds",
    "Time from sending a range of blocks its input to having its output, by expert and plane",
    ["expert", "plane"],
    SEGMENT_BUCKETS,
  );
  readonly #phases = this.#counter(
    "tutti_coordinator_segment_seconds_total",
    "Where the time of ranges of blocks went, by expert and phase: queue, load and compute on the worker, wire for the rest",
    ["expert", "phase"],
  );
  readonly #aggregation = this.#histogram(
    "tutti_coordinator_aggregation_seconds",
    "Time to aggregate what the experts gave for a range of blocks",
    [],
    SEGMENT_BUCKETS,
  );
  readonly #bytes = this.#counter(
    "tutti_coordinator_wire_bytes_total",
    "Bytes of feature maps on the wire by expert, direction (in, out) and plane; shared memory moves none",
    ["expert", "direction", "plane"],
  );
  readonly #replicaEvents = this.#counter(
    "tutti_coordinator_replica_events_total",
    "What happened to workers of an expert, by event (lost, failover, hedged, refused, parked, unparked) and reason",
    ["expert", "event", "reason"],
  );
  readonly #detection = this.#histogram(
    "tutti_coordinator_loss_detection_seconds",
    "Time from the beginning of a call to giving its worker up for lost, by reason",
    ["reason"],
    DETECT_BUCKETS,
  );
  readonly #replay = this.#histogram(
    "tutti_coordinator_replay_seconds",
    "Time from the loss of a worker to a session on another one that stands where the lost one stood",
    [],
    DETECT_BUCKETS,
  );

  constructor() {
    this.#isAsking.set(0);
    this.#jobsRunning.set(0);
  }

  /** @param names of the experts, in the order of reports: known when they are connected */
  setExperts(names: readonly string[]): void {
    this.#experts = names;
  }

  /** Whom to ask for the queue's own figures, whenever somebody looks. */
  setBacklog(ask: () => Promise<Backlog>): void {
    this.#backlog = ask;
  }

  /** Whether it asks the queue for jobs. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Why it asks for none, as a sentence. */
  get whyWaiting(): string {
    return this.#whyWaiting;
  }

  /** Ids of jobs that are drawn now. */
  get running(): readonly string[] {
    return [...this.#running];
  }

  readonly job = (event: CoordinatorEvent): void => {
    switch (event.event) {
      case "ready":
      case "waiting":
        this.#isReady = event.event === "ready";
        if (event.event === "waiting") this.#whyWaiting = event.error.message;
        this.#isAsking.set(this.#isReady ? 1 : 0);
        return;
      case "warning":
        return;
      case "started":
        this.#running.add(event.job);
        break;
      default:
        this.#running.delete(event.job);
    }
    this.#jobsRunning.set(this.#running.size);
    const code = "error" in event ? event.error.code.toLowerCase() : "";
    this.#jobs.inc({ event: event.event, code });
  };

  readonly segment = ({ experts, aggregateMs }: MeasuredSegment): void => {
    this.#aggregation.observe(aggregateMs / 1000);
    for (const [i, timing] of experts.entries()) {
      const { roundTripMs, queueMs, loadMs, computeMs, plane, sentBytes, receivedBytes } = timing;
      const expert = this.#experts[i] ?? "";
      this.#roundTrips.observe({ expert, plane }, roundTripMs / 1000);
      const phases = { queue: queueMs, load: loadMs, compute: computeMs };
      // Clocks of two processes are read: a wire that takes nothing must not count backwards.
      const wire = Math.max(0, roundTripMs - queueMs - loadMs - computeMs);
      for (const [phase, ms] of Object.entries({ ...phases, wire })) {
        this.#phases.inc({ expert, phase }, ms / 1000);
      }
      this.#bytes.inc({ expert, direction: "out", plane }, sentBytes);
      this.#bytes.inc({ expert, direction: "in", plane }, receivedBytes);
    }
  };

  readonly replica = (event: ReplicaEvent): void => {
    const { expert, kind } = event;
    const reason = "reason" in event ? event.reason : "";
    this.#replicaEvents.inc({ expert, event: kind, reason });
    if (kind === "lost") this.#detection.observe({ reason }, event.detectMs / 1000);
    if (kind === "failover") this.#replay.observe(event.replayMs / 1000);
  };

  /** All of it, as Prometheus reads it. */
  async text(): Promise<string> {
    await this.#updateQueue();
    this.#process.update({
      ...{ protocol: PROTOCOL, tutti: TUTTI_VERSION, deno: Deno.version.deno, runtime: "" },
    });
    return await this.registry.metrics();
  }

  /** Figures that cannot be had are left out: an old one would hide that. */
  async #updateQueue(): Promise<void> {
    const backlog = await this.#backlog?.().catch(() => undefined);
    this.#queue.reset();
    this.#oldest.remove();
    if (!backlog) return;
    this.#queue.set({ state: "waiting" }, backlog.waiting);
    this.#queue.set({ state: "taken" }, backlog.taken);
    this.#oldest.set(backlog.oldestWaitingSeconds);
  }

  #counter<T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<T extends string>(name: string, help: string, labelNames: readonly T[] = []): Gauge<T> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #histogram<T extends string>(
    name: string,
    help: string,
    labelNames: readonly T[],
    buckets: number[],
  ): Histogram<T> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] });
  }
}
