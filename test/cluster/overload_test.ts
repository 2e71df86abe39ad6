import assert from "node:assert/strict";
import { readWorkerStatus } from "../../coordinator/cluster/worker_status.ts";
import { goldenExpert } from "../support/golden_expert.ts";
import { testTutti } from "../support/run_tutti.ts";
import { overload } from "./overload.ts";

const SESSIONS = 2;
const MIB = 1024 * 1024;

testTutti(
  "ten times as many clients as sessions: typed refusals, bounded memory, and images as before",
  async (home) => {
    const worker = home.start([
      ...["worker", "--model", goldenExpert("a"), "--listen", "127.0.0.1:0", "--threads", "1"],
      ...["--max-sessions", String(SESSIONS)],
    ], { timeoutMs: 180_000 });
    const [, address = ""] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+)/m);
    const report = await overload(address, SESSIONS, 12);
    const text = JSON.stringify(report);
    assert.ok(report.refusals >= SESSIONS, text);
    assert.ok(report.most.sessions <= SESSIONS && report.most.sessions > 0, text);
    assert.ok(report.grownBytes < 200 * MIB, text);
    // Figures of `deno task overload` are 50 ms and 90 %; here other tests share the machine.
    assert.ok(report.refusalMs.p50 < 2000, text);
    assert.ok(report.goodput > 0.2 * report.peak, text);
    const { sessions, waitingSessions, arenaBytesUsed } = await readWorkerStatus(address);
    assert.deepEqual([sessions, waitingSessions, arenaBytesUsed], [0, 0, 0]);
    worker.kill("SIGTERM");
    assert.equal((await worker.result).code, 0);
  },
);
