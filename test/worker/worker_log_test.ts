import assert from "node:assert/strict";
import { SparseLines } from "../../shared/telemetry/sparse_lines.ts";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { jsonLines, testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { latentsFor, promptIds } from "../support/expert_inputs.ts";
import { zooPath } from "../support/zoo.ts";

const TIMEOUT_MS = 300_000;

async function startWorker(home: TuttiHome, flags: readonly string[]) {
  const serve = ["worker", "--model", zooPath("round"), "--threads", "1"];
  const worker = home.start([...serve, "--listen", "127.0.0.1:0", ...flags], {
    timeoutMs: TIMEOUT_MS,
  });
  const [, address] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+): serving/m);
  return { worker, address: address! };
}

/** A session of one block, one that has no room, a call that is wrong, and the end. */
async function useWorker({ worker, address }: Awaited<ReturnType<typeof startWorker>>) {
  const remote = await connectExpert(address);
  const { description } = remote;
  const { lastHiddenState } = await remote.encodeText(promptIds(description));
  const config = {
    ...{ batch: lastHiddenState.shape[0]!, height: 8, width: 8, timesteps: [999], job: "job-7" },
    encoderHiddenStates: lastHiddenState,
  };
  const session = await remote.openSession(config);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(remote.openSession(config), { code: "RESOURCE_EXHAUSTED" });
  }
  const hiddenStates = latentsFor(description, config);
  await session.forward({ stepIndex: 0, first: "IN00", last: "IN01", hiddenStates });
  await assert.rejects(
    session.forward({ stepIndex: 0, first: "OUT03", last: "OUT03", hiddenStates }),
  );
  await session.close();
  await remote.close();
  worker.kill("SIGTERM");
  const { code, stderr } = await worker.result;
  assert.equal(code, 0, stderr);
  return stderr;
}

testTutti(
  "tutti worker --log json --log-level info: a line for each thing that happens",
  async (home) => {
    const flags = ["--max-sessions", "1", "--log", "json", "--log-level", "info"];
    const lines = jsonLines(await useWorker(await startWorker(home, flags)));
    for (const { time, level, logger } of lines) {
      assert.ok(Math.abs(Date.parse(time as string) - Date.now()) < TIMEOUT_MS);
      assert.deepEqual([level, logger], ["info", "tutti.worker"]);
    }
    assert.deepEqual(lines.map(({ message }) => message), [
      ...[
        "session opened",
        "refused",
        "call failed",
        "session closed",
        "drain began",
        "drain ended",
      ],
    ]);
    const [opened, refused, failed, closed] = lines;
    const { session, peer } = opened!;
    assert.match(String(peer), /^127\.0\.0\.1:\d+$/);
    const caller = { session, job: "job-7", peer };
    const pick = (line: Record<string, unknown>, names: readonly string[]) =>
      Object.fromEntries(names.map((name) => [name, line[name]]));
    assert.deepEqual(pick(opened!, ["job", "batch", "height", "width", "timesteps"]), {
      ...{ job: "job-7", batch: 2, height: 8, width: 8, timesteps: 1 },
    });
    assert.deepEqual(pick(refused!, ["method", "code", "limit", "asked", "left"]), {
      ...{
        method: "open",
        code: "RESOURCE_EXHAUSTED",
        limit: "max_sessions",
        asked: "1",
        left: "0",
      },
    });
    assert.deepEqual(pick(failed!, ["session", "job", "peer", "method", "code"]), {
      ...caller,
      ...{ method: "forward", code: "FAILED_PRECONDITION" },
    });
    assert.deepEqual(pick(closed!, ["session", "job", "peer", "plane", "blocks", "outcome"]), {
      ...caller,
      ...{ plane: "shm", blocks: 2, outcome: "ok" },
    });
    assert.ok(Number(closed!.ms) > 0);
  },
);

testTutti(
  "tutti worker logs nothing while nothing is wrong; with --log json its last error is JSON",
  async (home) => {
    assert.equal(await useWorker(await startWorker(home, ["--max-sessions", "1"])), "");
    const { stderr } = await home.expect(4, ["worker", "--model", "gone", "--log", "json"]);
    const [error, ...others] = jsonLines(stderr);
    assert.deepEqual(others, []);
    assert.equal(error!.level, "error");
    assert.match(String(error!.message), /gone/);
  },
);

Deno.test("SparseLines: the first of a kind at once, then one in an interval with how many were left out", () => {
  let now = 0;
  const lines = new SparseLines({ now: () => now });
  const told: [string, number][] = [];
  const tell = (kind: string) => lines.tell(kind, (leftOut) => void told.push([kind, leftOut]));
  for (const kind of ["a", "a", "b", "a"]) tell(kind);
  now = 999;
  tell("a");
  now = 1000;
  tell("a");
  tell("a");
  now = 2000;
  for (const kind of ["a", "b"]) tell(kind);
  assert.deepEqual(told, [["a", 0], ["b", 0], ["a", 3], ["a", 1], ["b", 0]]);
});
