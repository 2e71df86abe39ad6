/** Which device `--device auto` means on this machine, and why. @module */

import { UsageError } from "../errors.ts";
import { type Device, DEVICES } from "../lane/protocol.ts";
import { hasCudaProvider, mayHaveGraphicsAdapter } from "./provider_files.ts";
import { type ProviderReport, reportProvider } from "./provider_report.ts";

export type DeviceChoice = Device | "auto";

export const DEVICE_CHOICES: readonly DeviceChoice[] = [...DEVICES, "auto"];

export interface ChosenDevice {
  readonly device: Device;
  /** One line that says why, if it was not the user who chose. */
  readonly explanation?: string;
}

/** What is known about a device without trying it further: a report, or why none was asked for. */
type Finding = ProviderReport | string;

/**
 * @throws {UsageError} if the choice is none of `DEVICE_CHOICES`
 */
export async function chooseDevice(choice: string): Promise<ChosenDevice> {
  if (!isDeviceChoice(choice)) {
    throw new UsageError(
      `--device must be one of ${DEVICE_CHOICES.join(", ")}: current value is "${choice}"`,
    );
  }
  if (choice !== "auto") return { device: choice };
  const cuda = await hasCudaProvider()
    ? await reportProvider("cuda")
    : "its provider is not installed";
  // A card that CUDA works on is not asked again.
  if (typeof cuda !== "string" && cuda.failure === undefined) return decide(cuda, "not tried");
  const webgpu = await mayHaveGraphicsAdapter()
    ? await reportProvider("webgpu")
    : "there is no graphics adapter";
  return decide(cuda, webgpu);
}

/** CUDA if its provider works, else WebGPU on a real graphics adapter, else the processor. */
export function decide(cuda: Finding, webgpu: Finding): Required<ChosenDevice> {
  const cudaRefusal = refusal(cuda);
  if (cudaRefusal === undefined) return chosen("cuda", "its provider loads and computes right");
  const webgpuRefusal = refusal(webgpu);
  if (webgpuRefusal === undefined && typeof webgpu !== "string") {
    return chosen("webgpu", `on ${webgpu.adapter!.name}; cuda: ${cudaRefusal}`);
  }
  return chosen("cpu", `cuda: ${cudaRefusal}; webgpu: ${webgpuRefusal}`);
}

function chosen(device: Device, reason: string): Required<ChosenDevice> {
  return { device, explanation: `Device ${device} (auto: ${reason})` };
}

/** Why not to take a device by itself; undefined if it is good. */
function refusal(finding: Finding): string | undefined {
  if (typeof finding === "string") return finding;
  const { device, failure, adapter } = finding;
  if (failure !== undefined) {
    return adapter?.isSoftware ? `${adapter.name} is software` : "it does not work here";
  }
  if (device !== "webgpu") return undefined;
  if (!adapter) return "its graphics adapter has no name";
  return adapter.isSoftware ? `${adapter.name} is software` : undefined;
}

function isDeviceChoice(text: string): text is DeviceChoice {
  return (DEVICE_CHOICES as readonly string[]).includes(text);
}
