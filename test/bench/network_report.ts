/** Results of `network_bench.ts`: for each a line for people and a line of JSON. @module */

import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { printJson, printLine } from "../../shared/terminal/stdout.ts";
import { formatDuration } from "../../shared/terminal/units.ts";
import type { EmulatedLink } from "./emulated_links.ts";
import type { MeasuredStep } from "./network_coordinator.ts";
import { type MeasuredLink, stepModel } from "./step_model.ts";
import { choiceName, SIZE_TO_F32, type TransportChoice } from "./transport_choice.ts";

/** What is the same for all results of a run. */
export interface Setting {
  /** Model and size. */
  readonly name: string;
}

export interface StepResult {
  readonly link: EmulatedLink;
  readonly measured: MeasuredLink;
  readonly setting: Setting;
  readonly choice: TransportChoice;
  readonly step: MeasuredStep;
}

/** Which machine and which sources the numbers are of. */
const ORIGIN = { machine: `${cpus()[0]?.model} x ${cpus().length}`, commit: commit() };

export function printLink(link: EmulatedLink, measured: MeasuredLink, { name }: Setting): void {
  const { sendBytesPerSecond, receiveBytesPerSecond, roundTripMs } = measured;
  const rate = (bytesPerSecond: number) => `${(bytesPerSecond * 8 / 1e6).toFixed(0)} Mbit/s`;
  printLine(
    `${link.name}: ${link.title}. Two cables at once give ${
      rate(sendBytesPerSecond)
    } each to the workers, ` +
      `${rate(receiveBytesPerSecond)} back, round trip ${formatDuration(roundTripMs)}`,
  );
  const metric = (what: string, value: number, unit: string) =>
    printJson({ name: `network.${link.name}.${what}`, value, unit, setting: name, ...ORIGIN });
  metric("send", sendBytesPerSecond, "bytes/s");
  metric("receive", receiveBytesPerSecond, "bytes/s");
  metric("round-trip", roundTripMs / 1000, "s");
}

export function printStep({ link, measured, setting, choice, step }: StepResult): void {
  const { stepMs, computeMs, traffic, evidence } = step;
  const size = SIZE_TO_F32[choice.wireDtype];
  const { wireMs, maxMs, sumMs } = stepModel(computeMs, {
    sentBytes: traffic.sentBytes * size,
    receivedBytes: traffic.receivedBytes * size,
    roundTrips: traffic.roundTrips,
  }, measured);
  printLine(
    `${label(link, choice)} step ${formatDuration(stepMs)}, compute ${
      formatDuration(computeMs)
    }, ` +
      `wire ${formatDuration(wireMs)}: step / max ${(stepMs / maxMs).toFixed(2)}, ` +
      `step / sum ${(stepMs / sumMs).toFixed(2)}`,
  );
  printJson({
    name: metricName(link, choice),
    value: stepMs / 1000,
    unit: "s",
    computeSeconds: computeMs / 1000,
    wireSeconds: wireMs / 1000,
    maxSeconds: maxMs / 1000,
    sumSeconds: sumMs / 1000,
    stepToMax: stepMs / maxMs,
    stepToSum: stepMs / sumMs,
    f32BytesPerWorker: traffic.sentBytes + traffic.receivedBytes,
    roundTrips: traffic.roundTrips,
    ...evidence,
    setting: setting.name,
    ...ORIGIN,
  });
}

/** A choice that this build does not have. */
export function printMissing(
  link: EmulatedLink,
  choice: TransportChoice,
  reason: string,
  { name }: Setting,
): void {
  printLine(`${label(link, choice)} not available in this build (${reason})`);
  printJson({
    name: metricName(link, choice),
    value: null,
    unit: "s",
    reason: `not available in this build: ${reason}`,
    setting: name,
    ...ORIGIN,
  });
}

function label({ name }: EmulatedLink, { plane, wireDtype, waves }: TransportChoice): string {
  const words = `${plane} ${wireDtype.padEnd(4)} ${waves} wave${waves === 1 ? " " : "s"}`;
  return `${name.padEnd(5)} ${words}:`;
}

function metricName({ name }: EmulatedLink, choice: TransportChoice): string {
  return `network.${name}.${choiceName(choice)}`;
}

/** Undefined outside of a git checkout. */
function commit(): string | undefined {
  const options = { cwd: import.meta.dirname!, encoding: "utf8", stdio: "pipe" } as const;
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], options).trim();
  } catch {
    return undefined;
  }
}
