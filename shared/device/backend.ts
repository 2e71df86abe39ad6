/**
 * A device that is ready to compute: checked, and with what graphs must heed on it.
 *
 * @module
 */

import { TuttiError, UsageError } from "../errors.ts";
import type { Device } from "../lane/protocol.ts";
import type { GraphLowering } from "../engine/lower_graph.ts";
import { providerError } from "./provider_error.ts";
import { isVerified, type VerifiedDevice } from "./verified_half.ts";
import { type ProviderReport, reportProvider } from "./provider_report.ts";

export const PRECISION_CHOICES = ["f32", "f16", "auto"] as const;

export type PrecisionChoice = typeof PRECISION_CHOICES[number];

export interface Backend {
  readonly device: Device;
  /** For people and fingerprints: `SwiftShader Device (Subzero)`; empty where the processor's name says it all. */
  readonly adapter: string;
  readonly lowering: GraphLowering;
}

/** What `isVerified()` is asked with. */
export function verifiedDevice(
  device: Device,
  { runtime = "", adapter }: ProviderReport,
): VerifiedDevice {
  return { device, runtime, adapter: adapter?.name ?? "" };
}

/**
 * Opens a device. Other devices than the processor are tried in a process of their own first, once per process.
 *
 * @param precision `auto` takes f16 where the device has it and `tutti verify --precision f16` has passed on it
 * @throws {TuttiError} FAILED_PRECONDITION with the next step if the device cannot be used
 * @throws {UsageError} if it does not compute in the precision
 */
export async function openBackend(
  device: Device,
  precision: PrecisionChoice = "f32",
): Promise<Backend> {
  if (device === "cpu") {
    if (precision === "f16") {
      throw new UsageError(
        "--precision must be f32 or auto with --device cpu: ONNX Runtime has no 16-bit kernels " +
          'for processors: current value is "f16"',
      );
    }
    return { device, adapter: "", lowering: { maxFusedHeadDim: Infinity, precision: "f32" } };
  }
  const report = await reportProvider(device);
  const { failure, adapter, f32, f16 } = report;
  if (failure !== undefined) throw providerError(device, failure);
  if (precision === "f16" && !f16) {
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `--precision must be f32 or auto here: ${
        adapter?.name ?? device
      } does not compute in 16-bit floats: current value is "f16"`,
      { details: { device } },
    );
  }
  const wantsHalf = precision === "f16" ||
    precision === "auto" && await isVerified(verifiedDevice(device, report));
  const half = wantsHalf ? f16 : undefined;
  return {
    device,
    adapter: adapter?.name ?? "",
    lowering: { ...(half ?? f32), precision: half ? "f16" : "f32" },
  };
}
