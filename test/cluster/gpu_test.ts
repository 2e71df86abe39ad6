import assert from "node:assert/strict";
import type { CheckResult } from "../../coordinator/verify/check.ts";
import { openLocalExpert } from "../../shared/engine/local_expert.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { goldenExpert } from "../support/golden_expert.ts";
import { assertClose } from "../support/goldens.ts";
import { isSoftwareGpu, testOnGpu } from "../support/on_gpu.ts";
import { TuttiHome } from "../support/run_tutti.ts";
import { keepResults } from "../support/keep_results.ts";

/** A GPU in software compiles its shaders slowly. */
const TIMEOUT_MS = 900_000;

/** `tutti verify --device webgpu` with these checks; all must be ok. */
async function verifyOnGpu(via: string, checks: readonly string[]): Promise<void> {
  const home = await TuttiHome.create();
  try {
    const args = ["verify", "--device", "webgpu", "--via", via, "--only", checks.join()];
    const results = await home.json<CheckResult>(args, { timeoutMs: TIMEOUT_MS });
    assert.deepEqual(results.map(({ name }) => name), checks);
    for (const { name, verdict, tolerance, comparisons } of results) {
      assert.deepEqual([name, verdict, tolerance], [name, "ok", 1e-3]);
      assert.ok(comparisons.length > 0, name);
    }
    await home.assertNoProcesses();
  } finally {
    await home.killProcesses();
    await Deno.remove(home.path, { recursive: true });
  }
}

// It has every block of two experts in it: a check of the blocks alone would compile the same shaders once more. A whole run
// repeats what it does, which takes a GPU in software several minutes.
const wholeRun = isSoftwareGpu ? [] : ["sd15/sample"];
testOnGpu("AFA on WebGPU, through workers, is within 1e-3", async () => {
  await verifyOnGpu("cluster", ["sd15/afa", ...wholeRun]);
});

testOnGpu("text encoders and VAE on WebGPU, in one process, are within 1e-3", async () => {
  await verifyOnGpu("local", ["sd15/text", "sd15/vae"]);
});

testOnGpu("two experts in one process share the adapter: their numbers do not mix", async () => {
  const run = async (device: "cpu" | "webgpu", letter: "a" | "b") => {
    const options = { model: goldenExpert(letter), device, lanes: 1, threads: 1 } as const;
    const expert = await openLocalExpert(options);
    assert.equal(expert.description.fingerprint.device, device);
    const config = await sessionConfig(expert);
    const session = keepResults(await expert.openSession(config));
    const hiddenStates = latentsFor(expert.description, config);
    const range = { stepIndex: 0, first: "IN00", last: "IN01", hiddenStates };
    const { hiddenStates: output } = await session.forward(range);
    await session.close();
    await expert.close();
    return output;
  };
  const [a, b] = await Promise.all([run("webgpu", "a"), run("webgpu", "b")]);
  assertClose("a", a, await run("cpu", "a"), 1e-3);
  assertClose("b", b, await run("cpu", "b"), 1e-3);
});
