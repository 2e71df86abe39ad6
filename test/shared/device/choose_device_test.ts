import assert from "node:assert/strict";
import { chooseDevice, decide } from "../../../shared/device/choose_device.ts";
import type { Adapter, ProviderReport } from "../../../shared/device/provider_report.ts";
import type { Device } from "../../../shared/lane/protocol.ts";

const NUMERICS = { f32: { maxFusedHeadDim: 512 } };
const works = (device: Device, adapter?: Adapter): ProviderReport => ({
  device,
  ...NUMERICS,
  ...(adapter && { adapter }),
});
const broken = (device: Device, adapter?: Adapter): ProviderReport => ({
  ...works(device, adapter),
  failure: "ONNX Runtime failed: no",
});
const CARD = { name: "Card 9000", isSoftware: false };
const SOFTWARE = { name: "SwiftShader", isSoftware: true };
const ABSENT = "its provider is not installed";

Deno.test("decide() takes CUDA, else WebGPU on a real adapter, else the processor, and says why", () => {
  const cases: readonly (readonly [ProviderReport | string, ProviderReport | string, string])[] = [
    [works("cuda"), works("webgpu", CARD), "cuda: its provider loads and computes right"],
    [ABSENT, works("webgpu", CARD), `webgpu: on Card 9000; cuda: ${ABSENT}`],
    [broken("cuda"), works("webgpu", CARD), "webgpu: on Card 9000; cuda: it does not work here"],
    [ABSENT, works("webgpu", SOFTWARE), `cpu: cuda: ${ABSENT}; webgpu: SwiftShader is software`],
    [ABSENT, broken("webgpu", SOFTWARE), `cpu: cuda: ${ABSENT}; webgpu: SwiftShader is software`],
    [ABSENT, broken("webgpu", CARD), `cpu: cuda: ${ABSENT}; webgpu: it does not work here`],
    [
      ABSENT,
      works("webgpu"),
      `cpu: cuda: ${ABSENT}; webgpu: its graphics adapter has no name`,
    ],
    [
      broken("cuda"),
      "there is no graphics adapter",
      "cpu: cuda: it does not work here; webgpu: there is no graphics adapter",
    ],
  ];
  for (const [cuda, webgpu, expected] of cases) {
    const { device, reason } = decide(cuda, webgpu);
    assert.equal(`${device}: ${reason}`, expected);
  }
});

Deno.test("chooseDevice() leaves what the user named, and refuses lanes that WebGPU has not", async () => {
  assert.deepEqual(await chooseDevice("cuda", 3), { device: "cuda", lanes: 3 });
  assert.deepEqual(await chooseDevice("webgpu"), { device: "webgpu", lanes: 1 });
  await assert.rejects(chooseDevice("webgpu", 2), {
    name: "UsageError",
    message: /^--lanes must be 1 with --device webgpu.*: current value is 2$/,
  });
});

Deno.test("chooseDevice() explains what auto took in one line", async () => {
  const { device, lanes, explanation } = await chooseDevice("auto", 2);
  assert.ok(explanation!.startsWith(`Device ${device} (auto: `), explanation!);
  assert.ok(!explanation!.includes("\n"));
  assert.equal(lanes, device === "webgpu" ? 1 : 2);
});
