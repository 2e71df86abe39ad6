import assert from "node:assert/strict";
import {
  CUDA_INSTALL_STEP,
  isKnownProviderProblem,
  providerError,
} from "../../../shared/device/provider_error.ts";
import { runtimeFolder } from "../../../shared/device/provider_files.ts";
import { Lane } from "../../../shared/lane/lane.ts";
import { join } from "node:path";
import { exists } from "../../../shared/checkpoint/exists.ts";

const NO_ADAPTER = "ONNX Runtime failed: /src/webgpu_context.cc:136 Initialize() was false. " +
  "Failed to get a WebGPU adapter: No supported adapters\n";

Deno.test("providerError() says what is wrong and what to do, not the runtime's text", () => {
  const error = providerError("webgpu", NO_ADAPTER);
  assert.equal(error.code, "FAILED_PRECONDITION");
  assert.match(error.message, /^Device "webgpu" cannot be used. No graphics adapter was found: /);
  assert.ok(!error.message.includes("webgpu_context"));
  assert.ok(!error.details.runtime!.includes("\n"));
  const full = "ONNX Runtime failed: CUDA failure 2: out of memory ; GPU=0";
  assert.equal(providerError("cuda", full).code, "RESOURCE_EXHAUSTED");
});

Deno.test("providerError() passes on a text that it does not know, with a next step", () => {
  const { message } = providerError("webgpu", "ONNX Runtime failed: the moon\nis full");
  assert.match(message, /^Device "webgpu" cannot be used. the moon is full: .*--device cpu/);
  assert.equal(isKnownProviderProblem("webgpu", "the moon is full"), false);
  assert.equal(isKnownProviderProblem("webgpu", NO_ADAPTER), true);
  assert.equal(isKnownProviderProblem("cpu", NO_ADAPTER), false, "no device of another name");
});

Deno.test("a CUDA provider that is not installed: the runtime's text is known", async () => {
  if (await exists(join(runtimeFolder(), "libonnxruntime_providers_cuda.so"))) return;
  await using lane = new Lane({ device: "cuda", threads: 1 });
  const model = { bytes: new Uint8Array(), weightsFolder: undefined };
  const refusal = await lane.loadGraph("any", model).catch((error: Error) => error.message);
  assert.ok(isKnownProviderProblem("cuda", refusal!), String(refusal));
  assert.ok(providerError("cuda", refusal!).message.includes(CUDA_INSTALL_STEP));
});

Deno.test("the install step of CUDA names a script that the package has", async () => {
  const script = CUDA_INSTALL_STEP.split(" ").at(-1)!;
  const root = join(import.meta.dirname!, "../../..");
  assert.ok(await exists(join(root, script)), script);
  assert.ok(await exists(runtimeFolder()));
});
