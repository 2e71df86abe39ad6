import assert from "node:assert/strict";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { checkHealth } from "../../coordinator/cluster/worker_status.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { goldenExpert } from "../support/golden_expert.ts";
import { LONG_LIVED_MS, testTutti } from "../support/run_tutti.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

/**
 * glibc fills freed memory with this byte, so that whoever still reads it falls over at once and not every second
 * time. Other C libraries know nothing of it, and the tests are weaker there.
 */
const PERTURBED = { MALLOC_PERTURB_: "165" };

testTutti("a worker survives the goodbye of its clients", async (home) => {
  const worker = home.start(
    ["worker", "--model", goldenExpert("a"), "--listen", "127.0.0.1:0", "--threads", "1"],
    { env: PERTURBED, timeoutMs: LONG_LIVED_MS },
  );
  const [, address = ""] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+)/m);
  for (let client = 0; client < 3; client++) {
    const remote = await connectExpert(address);
    const config = await sessionConfig(remote);
    const session = await remote.openSession(config);
    const hiddenStates = latentsFor(remote.description, config);
    await session.forward({ stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates });
    await session.close();
    await remote.close();
    assert.equal(await checkHealth(address), "SERVING");
  }
  worker.kill("SIGTERM");
  const { code, stderr } = await worker.result;
  assert.equal(code, 0, stderr);
});

testTutti(
  "a coordinator survives the goodbye of a worker, and says that it lost it",
  async (home) => {
    const worker = home.start(
      [
        ...["worker", "--model", zooPath("round"), "--listen", "127.0.0.1:0", "--threads", "1"],
        // There is no other worker: given time, the run would go on for it.
        ...["--drain-limit", "0"],
      ],
      { timeoutMs: LONG_LIVED_MS },
    );
    const [, address = ""] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+)/m);
    const files = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
    const run = home.start(
      ["sample", PROMPT, "--steps", "1000", "--workers", address, "--park", "0", ...files],
      { env: PERTURBED, timeoutMs: LONG_LIVED_MS },
    );
    await run.says(/Sampling 0\/1000/);
    worker.kill("SIGTERM");
    const { code, stderr } = await run.result;
    assert.equal(code, 3, stderr);
    assert.match(stderr, new RegExp(`error: .*${address}`));
    assert.equal((await worker.result).code, 0);
  },
);
