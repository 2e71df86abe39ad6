/**
 * What an execution provider can do on this machine. It is tried in a process of its own: a driver that crashes takes
 * that process, and the report says so.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { Device } from "../lane/protocol.ts";

/** A graphics adapter, as the system names it. */
export interface Adapter {
  /** `NVIDIA H200`, `SwiftShader Device (Subzero)` */
  readonly name: string;
  /** A processor that plays graphics adapter: right, and slow. */
  readonly isSoftware: boolean;
}

/** What of the provider's arithmetic is right. */
export interface ProviderNumerics {
  /** Largest width of an attention head for which the fused attention is right; 0 if for none. */
  readonly maxFusedHeadDim: number;
}

export interface ProviderReport {
  readonly device: Device;
  /** Version of ONNX Runtime; undefined if that cannot be loaded at all. */
  readonly runtime?: string;
  /** Why it cannot be used, in the words of whoever refused. */
  readonly failure?: string;
  readonly adapter?: Adapter;
  readonly f32: ProviderNumerics;
  /** Undefined if it does not compute in 16-bit floats. */
  readonly f16?: ProviderNumerics;
}

/** The program that tries a provider, and how long it may take. */
export interface Trial {
  /** A path; the device's name is its argument. */
  readonly program: string;
  readonly timeoutMs: number;
}

/** Compiling the shaders of a cold driver takes seconds. */
const TRIAL: Trial = {
  program: fileURLToPath(new URL("./try_provider.ts", import.meta.url)),
  timeoutMs: 60_000,
};

const reports = new Map<Device, Promise<ProviderReport>>();

/** Tries the provider once per process; a provider that cannot be used is a report, not an error. */
export function reportProvider(device: Device): Promise<ProviderReport> {
  let report = reports.get(device);
  if (!report) reports.set(device, report = tryProvider(device, TRIAL));
  return report;
}

export async function tryProvider(
  device: Device,
  { program, timeoutMs }: Trial,
): Promise<ProviderReport> {
  const failed = (failure: string) => ({ device, failure, f32: { maxFusedHeadDim: 0 } });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--allow-all", program, device],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  const { code, signal, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const [printed, said] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  if (isLate) return failed(`It did not answer within ${timeoutMs / 1000} s`);
  if (signal !== null) return failed(`It crashed with ${signal}`);
  if (code !== 0) {
    const lines = said!.split("\n");
    const reason = lines.find((line) => line.startsWith("error: ")) ?? lines.at(-1);
    return failed(`It stopped with exit code ${code}: ${reason}`);
  }
  // A driver may have printed lines of its own before.
  return JSON.parse(printed!.split("\n").at(-1)!) as ProviderReport;
}
