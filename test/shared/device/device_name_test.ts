import assert from "node:assert/strict";
import { join } from "node:path";
import { deviceIndexOf, providerOf, readDevice } from "../../../shared/device/device_name.ts";
import { cudaDevices, spreadDevices } from "../../../shared/device/spread_devices.ts";
import {
  forgetVerified,
  isVerified,
  rememberVerified,
} from "../../../shared/device/verified_half.ts";

Deno.test("a device is a provider or one of several GPUs; one of several adapters of WebGPU is refused with the reason", () => {
  assert.deepEqual(readDevice("cuda:02"), { device: "cuda:2" });
  assert.deepEqual(readDevice("auto"), { device: "auto" });
  assert.deepEqual([providerOf("cuda:2"), deviceIndexOf("cuda:2")], ["cuda", 2]);
  assert.deepEqual([providerOf("webgpu"), deviceIndexOf("webgpu")], ["webgpu", undefined]);
  const problemOf = (text: string) => {
    const read = readDevice(text);
    return "problem" in read ? read.problem : undefined;
  };
  assert.match(problemOf("webgpu:1")!, /takes the adapter that the system prefers/);
  for (const text of ["cpu:0", "cuda:", "cuda:-1", "cuda:1234", "gpu"]) {
    assert.match(problemOf(text)!, /^Allowed are cpu, webgpu, cuda, auto, cuda:N$/);
  }
});

Deno.test("workers get the GPUs of a machine in turns, and those with a device of their own keep it", () => {
  const wanted = [undefined, "cpu", undefined, undefined] as const;
  assert.deepEqual(spreadDevices(wanted, "cuda", 2), ["cuda:0", "cpu", "cuda:1", "cuda:0"]);
  assert.deepEqual(spreadDevices(wanted, "cuda", 1), ["cuda", "cpu", "cuda", "cuda"]);
  assert.deepEqual(spreadDevices(wanted, "webgpu", 4), ["webgpu", "cpu", "webgpu", "webgpu"]);
});

Deno.test("GPUs are counted as CUDA shows them to this process", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const gpu of ["0000:01:00.0", "0000:02:00.0"]) await Deno.mkdir(join(folder, gpu));
    assert.equal(await cudaDevices({ folder, visible: undefined }), 2);
    assert.equal(await cudaDevices({ folder, visible: "1" }), 1);
    assert.equal(await cudaDevices({ folder, visible: "" }), 0);
    assert.equal(await cudaDevices({ folder: join(folder, "none"), visible: undefined }), 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a pass in f16 holds for its device, adapter and runtime until it fails there", async () => {
  const home = await Deno.makeTempDir();
  const before = Deno.env.get("XDG_STATE_HOME");
  Deno.env.set("XDG_STATE_HOME", home);
  try {
    const verified = { device: "webgpu", runtime: "1.30.0", adapter: "Card" } as const;
    assert.equal(await isVerified(verified), false);
    await rememberVerified(verified);
    assert.equal(await isVerified(verified), true);
    assert.equal(await isVerified({ ...verified, runtime: "1.31.0" }), false);
    await forgetVerified(verified);
    await forgetVerified(verified);
    assert.equal(await isVerified(verified), false);
  } finally {
    if (before === undefined) Deno.env.delete("XDG_STATE_HOME");
    else Deno.env.set("XDG_STATE_HOME", before);
    await Deno.remove(home, { recursive: true });
  }
});
