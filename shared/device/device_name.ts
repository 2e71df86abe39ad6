/**
 * How a user names a device: a provider of ONNX Runtime, or one of several GPUs behind CUDA, as `nvidia-smi -L` counts
 * them.
 *
 * @module
 */

import { type Device, DEVICES, type Provider } from "../lane/protocol.ts";

export type DeviceChoice = Device | "auto";

export const DEVICE_CHOICES: readonly DeviceChoice[] = [...DEVICES, "auto"];

const INDEXED = /^(\w+):(\d{1,3})$/;

/** Why ONNX Runtime's WebGPU cannot be told which adapter to take: its Node binding hands its drivers no such wish. */
const NO_WEBGPU_CHOICE =
  "webgpu takes the adapter that the system prefers: no way to choose another one was seen to work";

/** @returns the device, or why it is none */
export function readDevice(text: string): { device: DeviceChoice } | { problem: string } {
  const known = DEVICE_CHOICES.find((choice) => choice === text);
  if (known) return { device: known };
  const [, provider, index] = INDEXED.exec(text) ?? [];
  if (provider === "cuda") return { device: `cuda:${Number(index)}` };
  if (provider === "webgpu") return { problem: NO_WEBGPU_CHOICE };
  return { problem: `Allowed are ${DEVICE_CHOICES.join(", ")}, cuda:N` };
}

export function providerOf(device: Device): Provider {
  return device.split(":")[0] as Provider;
}

/** Which of a provider's devices; undefined where that is left to it. */
export function deviceIndexOf(device: Device): number | undefined {
  const [, index] = device.split(":");
  return index === undefined ? undefined : Number(index);
}
