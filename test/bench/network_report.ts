/**
 * Results of `network_bench.ts`: lines for people, or with `--json` those of every benchmark, which a table of `docs/benchmarks.md` is
 * written from.
 *
 * @module
 */

import {
  type BenchMachine,
  benchMachine,
  sourceCommit,
} from "../../coordinator/bench/bench_machine.ts";
import type { BenchFigure, BenchResult } from "../../coordinator/bench/bench_result.ts";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import type { EmulatedLink } from "./emulated_links.ts";
import type { MeasuredStep } from "./network_coordinator.ts";
import { type MeasuredLink, stepModel } from "./step_model.ts";
import { choiceName, SIZE_TO_F32, type TransportChoice } from "./transport_choice.ts";

export interface StepResult {
  readonly link: EmulatedLink;
  readonly measured: MeasuredLink;
  readonly choice: TransportChoice;
  readonly step: MeasuredStep;
}

export interface ReportOptions {
  /** Model and size. */
  readonly model: string;
  readonly isJson: boolean;
}

export class NetworkReport {
  readonly #options: ReportOptions;
  readonly #origin: { readonly machine: BenchMachine; readonly commit: string };

  private constructor(options: ReportOptions, commit: string) {
    this.#options = options;
    this.#origin = { machine: benchMachine(), commit };
  }

  static async create(options: ReportOptions): Promise<NetworkReport> {
    return new NetworkReport(options, await sourceCommit());
  }

  link({ name, title }: EmulatedLink, measured: MeasuredLink): void {
    const { sendBytesPerSecond, receiveBytesPerSecond, roundTripMs } = measured;
    const rate = (bytesPerSecond: number) => `${(bytesPerSecond * 8 / 1e6).toFixed(0)} Mbit/s`;
    this.#print(
      `${name}: ${title}. Two cables at once give ${rate(sendBytesPerSecond)} each to the ` +
        `workers, ${rate(receiveBytesPerSecond)} back, round trip ${formatDuration(roundTripMs)}`,
      [
        { name: `network.${name}.send`, value: sendBytesPerSecond / 1e6, unit: "MB/s" },
        { name: `network.${name}.receive`, value: receiveBytesPerSecond / 1e6, unit: "MB/s" },
        { name: `network.${name}.round-trip`, value: roundTripMs, unit: "ms" },
      ],
    );
  }

  step({ link, measured, choice, step }: StepResult): void {
    const { stepMs, computeMs, traffic, evidence } = step;
    const size = SIZE_TO_F32[choice.wireDtype];
    const { wireMs, maxMs, sumMs } = stepModel(computeMs, {
      sentBytes: traffic.sentBytes * size,
      receivedBytes: traffic.receivedBytes * size,
      roundTrips: traffic.roundTrips,
    }, measured);
    const name = `network.${link.name}.${choiceName(choice)}`;
    this.#print(
      `${label(link, choice)} step ${formatDuration(stepMs)}, ` +
        `compute ${formatDuration(computeMs)}, wire ${formatDuration(wireMs)}: ` +
        `step / max ${(stepMs / maxMs).toFixed(2)}, step / sum ${(stepMs / sumMs).toFixed(2)}`,
      [
        {
          ...{ name, value: stepMs, unit: "ms" },
          conditions: {
            model: this.#options.model,
            f32BytesPerWorker: traffic.sentBytes + traffic.receivedBytes,
            roundTrips: traffic.roundTrips,
            ...evidence,
          },
        },
        { name: `${name}.compute`, value: computeMs, unit: "ms" },
        { name: `${name}.wire`, value: wireMs, unit: "ms" },
        { name: `${name}.max`, value: maxMs, unit: "ms" },
        { name: `${name}.to-max`, value: stepMs / maxMs, unit: "ratio" },
        { name: `${name}.to-sum`, value: stepMs / sumMs, unit: "ratio" },
      ],
    );
  }

  /** A choice that this build does not have: no figure. */
  missing(link: EmulatedLink, choice: TransportChoice, reason: string): void {
    this.#print(`${label(link, choice)} not available in this build (${reason})`, []);
  }

  #print(text: string, figures: readonly BenchFigure[]): void {
    if (!this.#options.isJson) {
      printLine(text);
      return;
    }
    for (const figure of figures) {
      printJson({ ...figure, bench: "network", ...this.#origin } satisfies BenchResult);
    }
  }
}

function label({ name }: EmulatedLink, { plane, wireDtype, waves }: TransportChoice): string {
  const words = `${plane} ${wireDtype.padEnd(4)} ${waves} wave${waves === 1 ? " " : "s"}`;
  return `${name.padEnd(5)} ${words}:`;
}
