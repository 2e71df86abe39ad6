/**
 * Metrics that every process of ours has, under the names that Prometheus' own clients use for a process.
 *
 * @module
 */

import process from "node:process";
import { Counter, Gauge, type Registry } from "prom-client";
import type { Versions } from "../wire/convert_description.ts";

export class ProcessMetrics {
  readonly #memory: Gauge;
  readonly #cpu: Counter;
  readonly #build: Gauge<"tutti" | "deno" | "runtime" | "protocol">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#memory = new Gauge({
      name: "process_resident_memory_bytes",
      help: "Resident memory of the process in bytes",
      registers,
    });
    this.#cpu = new Counter({
      name: "process_cpu_seconds_total",
      help: "Time that the process computed, in user and system mode, in seconds",
      registers,
    });
    new Gauge({
      name: "process_start_time_seconds",
      help: "When the process started, in seconds since 1970",
      registers,
    }).set(performance.timeOrigin / 1000);
    this.#build = new Gauge({
      name: "tutti_build_info",
      help: "1 for the versions that run",
      labelNames: ["tutti", "deno", "runtime", "protocol"] as const,
      registers,
    });
  }

  update({ tutti, deno, runtime, protocol }: Versions): void {
    this.#memory.set(Deno.memoryUsage().rss);
    const { user, system } = process.cpuUsage();
    this.#cpu.reset();
    this.#cpu.inc((user + system) / 1e6);
    this.#build.reset();
    const range = `${protocol.min}-${protocol.max}`;
    this.#build.set({ tutti, deno, runtime, protocol: range }, 1);
  }
}
