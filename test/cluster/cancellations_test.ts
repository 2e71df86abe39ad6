import assert from "node:assert/strict";
import { goldenExpert } from "../support/golden_expert.ts";
import { testTutti } from "../support/run_tutti.ts";
import { cancelRuns } from "./cancellations.ts";

/** `TUTTI_CANCELLATIONS=1000 deno task test test/cluster/cancellations_test.ts` for the long run. */
const COUNT = Number(Deno.env.get("TUTTI_CANCELLATIONS") ?? 40);

testTutti(`${COUNT} runs cancelled at random points leave nothing on the worker`, async (home) => {
  const worker = home.start([
    ...["worker", "--model", goldenExpert("a"), "--listen", "127.0.0.1:0", "--threads", "1"],
    // Fewer than there are runs at a time: some are cancelled in the queue.
    ...["--max-sessions", "2"],
  ], { timeoutMs: 120_000 + COUNT * 5_000 });
  const [, address = ""] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+)/m);
  const { cancelled, finished, status } = await cancelRuns(address, COUNT, 7);
  assert.equal(cancelled + finished, COUNT);
  assert.ok(cancelled > COUNT / 4, `${cancelled} cancelled, ${finished} finished`);
  assert.equal(status.state, "serving");
  worker.kill("SIGTERM");
  assert.equal((await worker.result).code, 0);
});
