/** From what ONNX Runtime says about a device to what a person can do about it. @module */

import { type Code, TuttiError } from "../errors.ts";
import type { Device, Provider } from "../lane/protocol.ts";
import { providerOf } from "./device_name.ts";

/** Puts ONNX Runtime's CUDA provider beside its other libraries; Deno does not run npm packages' install scripts. */
export const CUDA_INSTALL_STEP =
  "ONNXRUNTIME_NODE_INSTALL=cuda12 deno run -A node_modules/onnxruntime-node/script/install.js";

interface Remedy {
  readonly device: Provider;
  /** In the runtime's text. */
  readonly pattern: RegExp;
  readonly code: Code;
  readonly problem: string;
  readonly nextStep: string;
}

const REMEDIES: readonly Remedy[] = [
  {
    device: "cuda",
    pattern: /Failed to load shared library|libonnxruntime_providers_shared/,
    code: "FAILED_PRECONDITION",
    problem: "ONNX Runtime's CUDA provider or a library that it needs cannot be loaded",
    nextStep:
      `install it (Linux on x86-64 only) with \`${CUDA_INSTALL_STEP}\`; it needs CUDA 12 and cuDNN 9`,
  },
  {
    device: "cuda",
    pattern: /no CUDA-capable device|CUDA driver version|cudaErrorNoDevice|CUDA failure 100/i,
    code: "FAILED_PRECONDITION",
    problem: "No NVIDIA GPU with a working driver was found",
    nextStep: "check with `nvidia-smi`, and in a container that the GPU is passed to it",
  },
  {
    device: "cuda",
    pattern: /invalid device ordinal|CUDA failure 101\b/i,
    code: "FAILED_PRECONDITION",
    problem: "There is no GPU of that number",
    nextStep: "`nvidia-smi -L` lists them, from 0",
  },
  {
    device: "webgpu",
    pattern: /Failed to get a WebGPU adapter/,
    code: "FAILED_PRECONDITION",
    problem: "No graphics adapter was found",
    nextStep: Deno.build.os === "linux"
      ? "install the Vulkan loader (`apt-get install libvulkan1`) and your GPU's Vulkan driver, and in a container " +
        "pass the GPU to it"
      : "install your GPU's driver",
  },
  {
    device: "webgpu",
    pattern: /requires f16 but the device does not support it/,
    code: "FAILED_PRECONDITION",
    problem: "The graphics adapter does not compute in 16-bit floats",
    nextStep: "use `--precision f32`",
  },
  ...(["webgpu", "cuda"] as const).map((device): Remedy => ({
    device,
    pattern: /out of (device )?memory|CUDA failure 2\b|OutOfMemory|Failed to allocate memory/i,
    code: "RESOURCE_EXHAUSTED",
    problem: "Its memory is full",
    nextStep: "run fewer workers on it, draw smaller images, use `--precision f16` if it can, " +
      "or `--device cpu`",
  })),
];

/** What the texts of drivers become: one line, without source locations, of bounded length. */
const MAX_RAW_LENGTH = 300;

/**
 * The error for a device that failed with the runtime's `text`; unknown texts are passed on, with a general next step.
 */
export function providerError(device: Device, text: string): TuttiError {
  const provider = providerOf(device);
  const remedy = REMEDIES.find((r) => r.device === provider && r.pattern.test(text));
  const raw = text.replace(/^ONNX Runtime failed: /, "").replaceAll(/\s+/g, " ").trim().slice(
    0,
    MAX_RAW_LENGTH,
  );
  const { code, problem, nextStep } = remedy ??
    {
      code: "FAILED_PRECONDITION" as const,
      problem: raw,
      nextStep: "use another device (`--device cpu` works everywhere)",
    };
  return new TuttiError(code, `Device "${device}" cannot be used. ${problem}: ${nextStep}`, {
    details: { device, problem, runtime: raw, nextStep },
  });
}

/** Whether the text is one that `providerError` knows more about than the runtime. */
export function isKnownProviderProblem(device: Device, text: string): boolean {
  return REMEDIES.some((remedy) =>
    remedy.device === providerOf(device) && remedy.pattern.test(text)
  );
}
