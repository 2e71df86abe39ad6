import assert from "node:assert/strict";
import { reportProvider, tryProvider } from "../../../shared/device/provider_report.ts";
import { testOnGpu } from "../../support/on_gpu.ts";
import { tempFolder } from "../../support/temp_folder.ts";

/** Tries "webgpu" by a program of these lines. */
async function tryBy(code: string, timeoutMs = 20_000) {
  await using folder = await tempFolder();
  const program = folder.join("program.ts");
  await Deno.writeTextFile(program, code);
  return await tryProvider("webgpu", { program, timeoutMs });
}

Deno.test("reportProvider(): the processor computes right, fused attention of any width too", async () => {
  const report = await reportProvider("cpu");
  assert.deepEqual(report, {
    device: "cpu",
    runtime: report.runtime,
    f32: { maxFusedHeadDim: 512 },
  });
  assert.match(report.runtime!, /^\d+\.\d+\.\d+$/);
  assert.equal(reportProvider("cpu"), reportProvider("cpu"), "it is tried once");
});

testOnGpu("reportProvider(): WebGPU has a name, and what it gets wrong is found", async () => {
  const { failure, adapter, f32 } = await reportProvider("webgpu");
  assert.equal(failure, undefined);
  assert.notEqual(adapter!.name, "");
  if (/SwiftShader/.test(adapter!.name)) {
    assert.equal(adapter!.isSoftware, true);
    // Its subgroups have four lanes; the runtime's kernel needs eight.
    assert.equal(f32.maxFusedHeadDim, 0);
  }
});

Deno.test("a provider that crashes, hangs or stops is a report", async () => {
  const failures = await Promise.all([
    tryBy("new Deno.UnsafePointerView(Deno.UnsafePointer.create(8n)!).getBigUint64();"),
    tryBy("setInterval(() => {}, 1000);", 500),
    tryBy('console.error("one\\nno driver"); Deno.exit(3);'),
    tryBy('throw new Error("no module");'),
  ]);
  assert.deepEqual(failures.map(({ failure }) => failure), [
    "It crashed with SIGSEGV",
    "It did not answer within 0.5 s",
    "It stopped with exit code 3: no driver",
    "It stopped with exit code 1: error: Uncaught (in promise) Error: no module",
  ]);
});

Deno.test("what a driver prints before the report does not disturb it", async () => {
  const report = { device: "webgpu", f32: { maxFusedHeadDim: 64 } };
  const code = `console.log("driver 1.2"); console.log(${
    JSON.stringify(JSON.stringify(report))
  }, Deno.args[0] === "webgpu" ? "" : "?");`;
  assert.deepEqual(await tryBy(code), report);
});
