import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { listWorkerSessions, readWorkerStatus } from "../../coordinator/cluster/worker_status.ts";
import { copyTensor } from "../../shared/tensor/tensor.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { testTutti, type TuttiHome, type TuttiProcess } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

/** Whatever takes longer hangs, even on a machine that does a lot besides. */
const TIMEOUT_MS = 180_000;

async function startWorker(home: TuttiHome, ...flags: string[]) {
  const worker = home.start([
    ...["worker", "--model", zooPath("round"), "--listen", "127.0.0.1:0", "--threads", "1"],
    ...flags,
  ], { timeoutMs: TIMEOUT_MS });
  const [, address = ""] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+)/m);
  return { worker, address };
}

/** Sends SIGTERM and waits until the worker has heard it. */
async function drain(worker: TuttiProcess, address: string): Promise<void> {
  worker.kill("SIGTERM");
  await eventually(async () => (await readWorkerStatus(address)).state === "draining");
}

testTutti(
  "SIGTERM in the middle of a step: the step is finished, the session handed over, and the worker ends with 0",
  async (home) => {
    const { worker, address } = await startWorker(home);
    const remote = await connectExpert(address);
    const config = { ...await sessionConfig(remote), canMove: true };
    const session = await remote.openSession(config);
    const latents = latentsFor(remote.description, config);
    const step = { stepIndex: 0, hiddenStates: latents };
    const half = await session.forward({ ...step, first: "IN00", last: "IN05" });
    await drain(worker, address);
    await assert.rejects(remote.openSession(config), {
      code: "UNAVAILABLE",
      message: /The worker is draining: it takes no new sessions/,
    });
    const hiddenStates = copyTensor(half.hiddenStates);
    const rest = { stepIndex: 0, first: "IN06", last: "OUT11", hiddenStates };
    assert.deepEqual((await session.forward(rest)).hiddenStates.shape, latents.shape);
    const next = session.forward({ ...step, stepIndex: 1, first: "IN00", last: "IN00" });
    await assert.rejects(next, (error: { code: string; details: Record<string, string> }) => {
      const { state, handover } = error.details;
      assert.deepEqual([error.code, state, handover], ["UNAVAILABLE", "draining", "true"]);
      return true;
    });
    const { code, stderr } = await worker.result;
    assert.equal(code, 0, stderr);
    await session.close();
    await remote.close();
  },
);

testTutti(
  "an image that has no other worker to go to is finished before its worker ends",
  async (home) => {
    const files = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
    const { worker, address } = await startWorker(home, "--drain-limit", "150");
    const sample = [
      "sample",
      PROMPT,
      "--steps",
      "40",
      "--seed",
      "1",
      "--workers",
      address,
      ...files,
    ];
    await home.expect(0, [...sample, "--out", "undisturbed.png"], { timeoutMs: TIMEOUT_MS });
    const run = home.start([...sample, "--out", "drained.png"], { timeoutMs: TIMEOUT_MS });
    await eventually(async () => {
      const [session] = await listWorkerSessions(address);
      return session !== undefined && session.stepIndex > 0;
    });
    await drain(worker, address);
    const { code, stderr } = await run.result;
    assert.equal(code, 0, stderr);
    assert.equal((await worker.result).code, 0);
    const [drained, undisturbed] = await Promise.all(
      ["drained", "undisturbed"].map((name) => readFile(home.file(`${name}.png`))),
    );
    assert.ok(drained!.equals(undisturbed!), "the images differ");
  },
);

testTutti("a second signal ends a draining worker at once", async (home) => {
  const { worker, address } = await startWorker(home, "--drain-limit", "600");
  const remote = await connectExpert(address);
  const session = await remote.openSession(await sessionConfig(remote));
  await drain(worker, address);
  worker.kill("SIGTERM");
  assert.equal((await worker.result).code, 143);
  await session.ended;
  await remote.close();
});
