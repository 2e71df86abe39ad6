/**
 * What a worker counts and measures, in a registry of its own. Events are told as they happen; what has a value at any time
 * is read from the worker's status when somebody asks for the text.
 *
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ExpertDescription } from "../../shared/engine/expert.ts";
import { ProcessMetrics } from "../../shared/telemetry/process_metrics.ts";
import type { WorkerStatus } from "../../shared/wire/convert_status.ts";
import { blockLabel, type BlockTimes, phaseTimes } from "./block_times.ts";
import { OK, type Outcome, outcomeOf } from "./outcome.ts";

/** What the gauges show. */
export interface MetricsSource {
  status(): WorkerStatus;
  /** Undefined while the model loads. */
  description(): ExpertDescription | undefined;
}

/** Seconds: from a tensor in shared memory to a block of SDXL on a few cores. */
const BLOCK_BUCKETS = [
  ...[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025],
  ...[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
];
const CALL_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30];

export class WorkerMetrics {
  readonly registry = new Registry();
  readonly #source: MetricsSource;
  readonly #process = new ProcessMetrics(this.registry);

  readonly #calls = this.#counter(
    "tutti_worker_calls_total",
    "Single calls by method, outcome and reason",
    ["method", "outcome", "reason"],
  );
  readonly #callSeconds = new Histogram({
    name: "tutti_worker_call_duration_seconds",
    help: "Time from a single call's request to its response, by method",
    labelNames: ["method"] as const,
    buckets: CALL_BUCKETS,
    registers: [this.registry],
  });
  readonly #commands = this.#counter(
    "tutti_worker_session_commands_total",
    "Commands of sessions by command, outcome and reason",
    ["command", "outcome", "reason"],
  );
  readonly #blockSeconds = new Histogram({
    name: "tutti_worker_block_duration_seconds",
    help:
      "Time of each phase of a block: wire_in, codec_in, queue, load, compute, codec_out, wire_out",
    labelNames: ["phase", "block", "plane", "dtype"] as const,
    buckets: BLOCK_BUCKETS,
    registers: [this.registry],
  });
  readonly #wireBytes = this.#counter(
    "tutti_worker_wire_bytes_total",
    "Bytes of feature maps on the wire by direction (in, out) and plane; shared memory moves none",
    ["direction", "plane"],
  );
  readonly #fallbacks = this.#counter(
    "tutti_worker_plane_fallbacks_total",
    "Planes that were offered and not taken, or given up after a failure, by plane and reason",
    ["plane", "reason"],
  );
  readonly #state = this.#gauge(
    "tutti_worker_state",
    "1 for the state that the worker is in: loading, serving, draining or stopping",
    ["state"],
  );
  readonly #modelInfo = this.#gauge(
    "tutti_worker_model_info",
    "1 for the model that is served",
    ["name", "model_hash", "family", "device", "precision"],
  );
  /** Of each, how it is read from the status. */
  readonly #levels: readonly (readonly [Gauge, (status: WorkerStatus) => number])[] = [
    this.#level("sessions", "Open sessions", (status) => status.sessions),
    this.#level(
      "sessions_waiting",
      "Sessions that wait to be opened",
      (status) => status.waitingSessions,
    ),
    this.#level("sessions_limit", "Most sessions at a time", (status) => status.maxSessions),
    this.#level(
      "arena_used_bytes",
      "Bytes that sessions hold",
      (status) => status.arenaBytesUsed,
    ),
    this.#level(
      "arena_left_bytes",
      "Bytes that are left for new sessions",
      (status) => status.arenaBytesLeft,
    ),
    this.#level("queue_depth", "Calls that wait for a lane", (status) => status.queueDepth),
    this.#level("lanes", "Lanes: threads that compute", (status) => status.lanes),
    this.#level("lanes_busy", "Lanes that compute now", (status) => status.busyLanes),
  ];

  constructor(source: MetricsSource) {
    this.#source = source;
  }

  /** A single call has ended; with `error` if it failed. */
  call(method: string, durationMs: number, error?: unknown): void {
    this.#calls.inc({ method, ...ending(error) });
    this.#callSeconds.observe({ method }, durationMs / 1000);
  }

  /** A session's command has ended; with `error` if it failed. */
  command(command: string, error?: unknown): void {
    this.#commands.inc({ command, ...ending(error) });
  }

  /** A session has run a range. */
  range(times: BlockTimes): void {
    const block = blockLabel(times);
    for (const { seconds, ...labels } of phaseTimes(times)) {
      this.#blockSeconds.observe({ block, ...labels }, seconds);
    }
    const { arrival, departure } = times;
    if (arrival) this.#wireBytes.inc({ direction: "in", plane: arrival.plane }, arrival.bytes);
    this.#wireBytes.inc({ direction: "out", plane: departure.plane }, departure.bytes);
  }

  /** @param reason a word of ours */
  planeFallback(plane: string, reason: string): void {
    this.#fallbacks.inc({ plane, reason });
  }

  /** All of it, as Prometheus reads it. */
  async text(): Promise<string> {
    const status = this.#source.status();
    for (const [gauge, read] of this.#levels) gauge.set(read(status));
    this.#state.reset();
    this.#state.set({ state: status.state }, 1);
    this.#process.update(status.versions);
    this.#setModel(this.#source.description(), status);
    return await this.registry.metrics();
  }

  #setModel(
    description: ExpertDescription | undefined,
    { device, precision }: WorkerStatus,
  ): void {
    if (!description) return;
    const { name, modelHash, family } = description;
    this.#modelInfo.set({ name, model_hash: modelHash, family, device, precision }, 1);
  }

  #counter<T extends string>(name: string, help: string, labelNames: readonly T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #gauge<T extends string>(name: string, help: string, labelNames: readonly T[]): Gauge<T> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  #level(
    name: string,
    help: string,
    read: (status: WorkerStatus) => number,
  ): readonly [Gauge, (status: WorkerStatus) => number] {
    return [this.#gauge(`tutti_worker_${name}`, help, []), read];
  }
}

function ending(error: unknown): Outcome {
  return error === undefined ? OK : outcomeOf(error);
}
