/** Which device `--device auto` means on this machine, and why. @module */

import { UsageError } from "../errors.ts";
import type { Device } from "../lane/protocol.ts";
import type { DeviceChoice } from "./device_name.ts";
import { hasCudaProvider, mayHaveGraphicsAdapter } from "./provider_files.ts";
import { type ProviderReport, reportProvider } from "./provider_report.ts";

export interface ChosenDevice {
  readonly device: Device;
  readonly lanes: number;
  /** One line that says why, if it was not the user who chose. */
  readonly explanation?: string;
}

export interface Decision {
  readonly device: Device;
  readonly reason: string;
}

/** What is known about a device without trying it further: a report, or why none was asked for. */
type Finding = ProviderReport | string;

/**
 * @param lanes as the user wants them: ONNX Runtime has one WebGPU device a process, so there it is one
 * @throws {UsageError} if the user wants WebGPU by name and several lanes
 */
export async function chooseDevice(choice: DeviceChoice, lanes = 1): Promise<ChosenDevice> {
  if (choice === "webgpu" && lanes > 1) {
    throw new UsageError(
      "--lanes must be 1 with --device webgpu, where the calls of a process run one after another: " +
        `current value is ${lanes}`,
    );
  }
  if (choice !== "auto") return { device: choice, lanes };
  const { device, reason } = await findDevice();
  const isCut = device === "webgpu" && lanes > 1;
  return {
    device,
    lanes: isCut ? 1 : lanes,
    explanation: `Device ${device} (auto: ${reason})${isCut ? `, with 1 lane, not ${lanes}` : ""}`,
  };
}

async function findDevice(): Promise<Decision> {
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
export function decide(cuda: Finding, webgpu: Finding): Decision {
  const cudaRefusal = refusal(cuda);
  if (cudaRefusal === undefined) {
    return { device: "cuda", reason: "its provider loads and computes right" };
  }
  const webgpuRefusal = refusal(webgpu);
  if (webgpuRefusal === undefined && typeof webgpu !== "string") {
    return { device: "webgpu", reason: `on ${webgpu.adapter!.name}; cuda: ${cudaRefusal}` };
  }
  return { device: "cpu", reason: `cuda: ${cudaRefusal}; webgpu: ${webgpuRefusal}` };
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
