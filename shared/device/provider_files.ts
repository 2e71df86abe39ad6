/** What lies on this machine that a provider needs, found without loading anything. @module */

import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { exists } from "../checkpoint/exists.ts";

/** Where ONNX Runtime's own libraries lie, for this system. */
export function runtimeFolder(): string {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  const { platform, arch } = { platform: process.platform, arch: process.arch };
  return join(dirname(entry), "..", "bin", "napi-v6", platform, arch);
}

/** Whether the install step of CUDA was done. It says nothing about the GPU or its driver. */
export function hasCudaProvider(): Promise<boolean> {
  return exists(join(runtimeFolder(), "libonnxruntime_providers_cuda.so"));
}

/** Device files of graphics drivers: Direct Rendering Manager, NVIDIA, WSL. */
const GRAPHICS_DEVICES = ["/dev/dri", "/dev/nvidiactl", "/dev/dxg"];

/** False only if no graphics adapter can be there: other systems than Linux do not tell without trying. */
export async function mayHaveGraphicsAdapter(): Promise<boolean> {
  if (Deno.build.os !== "linux") return true;
  return (await Promise.all(GRAPHICS_DEVICES.map(exists))).includes(true);
}
