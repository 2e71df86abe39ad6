import assert from "node:assert/strict";
import { readWorkerStatus } from "../../coordinator/cluster/worker_status.ts";
import { MAIN_PROGRAM } from "../../shared/project_files.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";
import { KEEPALIVE_MS } from "../../shared/wire/limits.ts";

/** Long enough that no machine ends it before it is interrupted. */
const LONG = ["sample", PROMPT, "--steps", "1000"];

/** Sessions of workers, asked without a process of its own: the test measures time. */
function openSessions(addresses: readonly string[]): Promise<number[]> {
  return Promise.all(addresses.map(async (address) => (await readWorkerStatus(address)).sessions));
}

/** Starts a long run on running workers and waits until it is under way on all of them. */
async function startLong(home: TuttiHome, addresses: readonly string[]) {
  const run = home.start(LONG);
  await run.says(/Sampling 0\/1000/);
  await eventually(async () => (await openSessions(addresses)).every((count) => count === 1));
  return run;
}

/** Sooner than a worker would ask whether its client is still there. */
async function assertSessionsEnd(addresses: readonly string[]): Promise<void> {
  const start = performance.now();
  await eventually(async () => (await openSessions(addresses)).every((count) => count === 0));
  assert.ok(performance.now() - start < KEEPALIVE_MS);
}

testTutti(
  "Ctrl-C frees the sessions on running workers, and a killed coordinator does so, too",
  async (home, t) => {
    const workers = await home.json<{ address: string }>(["up"]);
    const addresses = workers.map(({ address }) => address);
    assert.equal(addresses.length, 3);
    await t.step("SIGINT ends the run with 130", async () => {
      const run = await startLong(home, addresses);
      run.kill("SIGINT");
      const { code, stdout, stderr } = await run.result;
      assert.deepEqual([code, stdout], [130, ""]);
      assert.match(stderr, /error: The operation was cancelled\n$/);
      await assertSessionsEnd(addresses);
    });
    await t.step("SIGKILL leaves nothing to do it, but the broken connection", async () => {
      const run = await startLong(home, addresses);
      run.kill("SIGKILL");
      assert.equal((await run.result).code, 137);
      await assertSessionsEnd(addresses);
    });
    await t.step("the next run finds the workers as they were", async () => {
      const { stderr } = await home.expect(0, ["sample", PROMPT, "--steps", "1"]);
      assert.doesNotMatch(stderr, /Starting a worker/);
    });
    await home.expect(0, ["down"]);
  },
);

testTutti(
  "Ctrl-C ends a run with workers of its own at any moment, and they end with it",
  async (home) => {
    // A terminal's Ctrl-C goes to every process of the group; a script's only to the one that it knows.
    const moments = [
      [/Starting a worker for round/, "group"],
      [/Starting a worker for pointed/, "process"],
      [/Sampling 0\/1000/, "process"],
      [/Sampling [1-9]\d*\/1000/, "group"],
    ] as const;
    for (const [moment, target] of moments) {
      const run = home.start(LONG, { detached: true });
      await run.says(moment);
      if (target === "group") run.killGroup("INT");
      else run.kill("SIGINT");
      const { code, stderr } = await run.result;
      assert.equal(code, 130, `${moment} ${target}: ${stderr}`);
      assert.match(stderr, /error: The operation was cancelled\n$/);
      assert.deepEqual(await home.processes(), [], `${moment} ${target}`);
    }
  },
);

testTutti(
  "a coordinator that is killed takes the workers that it started with it",
  async (home) => {
    for (const moment of [/Starting a worker for pointed/, /Sampling 0\/1000/]) {
      const run = home.start(LONG);
      await run.says(moment);
      run.kill("SIGKILL");
      assert.equal((await run.result).code, 137);
      await home.assertNoProcesses();
    }
  },
);

testTutti("tutti verify and tutti up can be interrupted, too", async (home) => {
  const verify = home.start(["verify"]);
  await verify.says(/^sd15\/unet /m);
  verify.kill("SIGINT");
  assert.equal((await verify.result).code, 130);
  assert.deepEqual(await home.processes(), []);

  const up = home.start(["up"]);
  await up.says(/Starting a worker for pointed/);
  up.kill("SIGINT");
  assert.equal((await up.result).code, 130);
  await home.expect(0, ["down"]);
});

testTutti(
  "a worker that stops with its standard input stops at SIGTERM, too, while that stays open",
  async (home) => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-q", "-A", MAIN_PROGRAM, "worker", "--model", zooPath("round")],
        ...["--listen", "127.0.0.1:0", "--json", "--stop-with-stdin"],
      ],
      env: home.env,
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    await reader.read();
    await reader.cancel();
    child.kill("SIGTERM");
    const killed = setTimeout(() => child.kill("SIGKILL"), 60_000);
    assert.equal((await child.status).code, 0);
    clearTimeout(killed);
    await child.stdin.close().catch(() => {}); // Its reader is gone.
  },
);
