import assert from "node:assert/strict";
import { deviceIndexOf, providerOf, readDevice } from "../../../shared/device/device_name.ts";
import { providerError } from "../../../shared/device/provider_error.ts";
import { cudaDevices, spreadDevices } from "../../../shared/device/spread_devices.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("readDevice() knows providers and GPUs by number, and says what is wrong with others", () => {
  for (const device of ["cpu", "webgpu", "cuda", "auto", "cuda:0", "cuda:12"]) {
    assert.deepEqual(readDevice(device), { device });
  }
  const problems = ["cpu:0", "auto:1", "cuda:", "cuda:x", "cuda:-1", "tpu", "webgpu:0"].map(
    (text) => {
      const read = readDevice(text);
      return "problem" in read && read.problem.split(" ")[0];
    },
  );
  assert.deepEqual(problems, [...new Array(6).fill("Allowed"), "webgpu"]);
  assert.deepEqual([providerOf("cuda:3"), deviceIndexOf("cuda:3")], ["cuda", 3]);
  assert.deepEqual([providerOf("cpu"), deviceIndexOf("cpu")], ["cpu", undefined]);
});

Deno.test("providerError() of a GPU by number knows CUDA's problems", () => {
  const { message } = providerError("cuda:7", "CUDA failure 101: invalid device ordinal ; GPU=7");
  assert.match(
    message,
    /^Device "cuda:7" cannot be used\. There is no GPU of that number: `nvidia-smi -L`/,
  );
});

Deno.test("spreadDevices() gives workers GPUs in turns, and leaves those that have one of their own", () => {
  const wanted = [undefined, "cpu", undefined, "cuda:0", undefined] as const;
  assert.deepEqual(spreadDevices(wanted, "cuda", 2), [
    "cuda:0",
    "cpu",
    "cuda:1",
    "cuda:0",
    "cuda:0",
  ]);
  // One GPU, a choice of the user's, or another provider: all get the same.
  assert.equal(spreadDevices([undefined], "cuda", 1)[0], "cuda");
  assert.equal(spreadDevices([undefined], "cuda:1", 4)[0], "cuda:1");
  assert.equal(spreadDevices([undefined], "cpu", 4)[0], "cpu");
});

Deno.test("cudaDevices() counts what the driver lists, and of that what CUDA_VISIBLE_DEVICES names", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const former = Deno.env.get("CUDA_VISIBLE_DEVICES");
  Deno.env.delete("CUDA_VISIBLE_DEVICES");
  using _ = {
    [Symbol.dispose]: () => former !== undefined && Deno.env.set("CUDA_VISIBLE_DEVICES", former),
  };
  assert.equal(await cudaDevices({ folder: folder.join("absent") }), 0);
  for (const gpu of ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"]) {
    await Deno.mkdir(folder.join(gpu));
  }
  assert.equal(await cudaDevices({ folder: path }), 3);
  assert.equal(await cudaDevices({ folder: path, visible: "0,2" }), 2);
  assert.equal(await cudaDevices({ folder: path, visible: "" }), 0);
});
