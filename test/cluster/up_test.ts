import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../support/free_port.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, ZOO_EXPERTS, zooPath } from "../support/zoo.ts";

interface WorkerLine {
  readonly name: string;
  readonly address: string;
  readonly pid: number;
  readonly wasRunning: boolean;
}

interface PsLine {
  readonly name: string;
  readonly modelHash: string;
  readonly address: string;
  readonly state: string;
  readonly sessions: number;
  readonly busyLanes: number;
}

/** An ensemble file of bundled experts, by name and model path. */
async function writeEnsemble(home: TuttiHome, name: string, models: Record<string, string>) {
  const experts = Object.entries(models).map(([expert, model]) =>
    `[[experts]]\nname = "${expert}"\nmodel = "${model}"\n`
  );
  const shared = `vae = "${zooPath("vae")}"\ntokenizer = "${zooPath("tokenizer")}"\n`;
  await writeFile(home.file(`${name}.toml`), `name = "${name}"\n${shared}${experts.join("")}`);
  return `${name}.toml`;
}

const records = (home: TuttiHome) => readdir(join(home.stateFolder, "workers"));

testTutti(
  "tutti up, ps, health and down: workers outlive their command, are found, asked and stopped",
  async (home, t) => {
    const workers = await home.json<WorkerLine>(["up"]);
    const byName = Map.groupBy(workers, ({ name }) => name);

    await t.step("up starts a worker per expert and returns", async () => {
      assert.deepEqual(workers.map(({ name }) => name), [...ZOO_EXPERTS]);
      const pids = (await home.workers()).map(({ pid }) => pid);
      assert.deepEqual(pids.sort(), workers.map(({ pid }) => pid).sort());
      assert.deepEqual(await home.processes(), await home.workers());
    });

    await t.step("a second up starts none", async () => {
      const { stdout, stderr } = await home.expect(0, ["up"]);
      assert.equal(stderr, "");
      const rows = stdout.trim().split("\n").slice(1).map((line) => line.split(/ +/).slice(0, 3));
      assert.equal(stdout.match(/ ran already /g)?.length, 3, stdout);
      assert.deepEqual(rows, workers.map(({ name, address, pid }) => [name, address, String(pid)]));
      assert.equal((await home.workers()).length, 3);
    });

    await t.step("sample uses them, and leaves no session", async () => {
      const ensemble = ["--ensemble", zooPath("ensemble.toml")];
      const { stderr } = await home.expect(0, ["sample", PROMPT, "--steps", "1", ...ensemble]);
      assert.doesNotMatch(stderr, /Starting a worker/);
      const lines = await home.json<PsLine>(["ps"]);
      assert.deepEqual(lines.map(({ name }) => name).sort(), [...ZOO_EXPERTS].sort());
      assert.equal(new Set(lines.map(({ modelHash }) => modelHash)).size, 3);
      for (const { name, address, modelHash, state, sessions, busyLanes } of lines) {
        assert.equal(address, byName.get(name)![0]!.address);
        assert.match(modelHash, /^[0-9a-f]{64}$/);
        assert.deepEqual([state, sessions, busyLanes], ["serving", 0, 0]);
      }
    });

    await t.step("ps shows models, hashes, sessions and load to people", async () => {
      const { stdout } = await home.expect(0, ["ps"]);
      const [titles, ...rows] = stdout.trim().split("\n");
      assert.match(
        titles!,
        /^model +hash +address +state +device +sessions +load +memory +arena left +up$/,
      );
      assert.equal(rows.length, 3);
      const { address } = workers[0]!;
      const row = rows.find((text) => text.startsWith("round"))!;
      const pattern =
        /^round +[0-9a-f]{10} +(\S+) +serving +cpu f32 +0\/16 +0\/1 lanes, 0 waiting +[\d.]+ MB +[\d.]+ GB +[\d.]+/;
      assert.equal(pattern.exec(row)?.[1], address, row);
      const asked = await home.expect(3, [
        "ps",
        "--workers",
        `${address},127.0.0.1:1`,
        "--sessions",
      ]);
      assert.match(asked.stdout, /^-  +- .*127\.0\.0\.1:1 +unreachable/m);
      assert.match(asked.stdout, /^No sessions$/m);
      assert.match(asked.stderr, /^warning: No worker can be reached at 127\.0\.0\.1:1 \(/m);
      assert.match(asked.stderr, /^error: 1 of 2 workers cannot be reached: 127\.0\.0\.1:1$/m);
    });

    await t.step("health is 0 for a worker that serves, 3 where none is", async () => {
      const { address } = workers[0]!;
      assert.equal((await home.expect(0, ["health", address])).stdout, `${address} SERVING\n`);
      assert.deepEqual(
        await home.json(["health", address]),
        [{ version: 1, address, status: "SERVING" }],
      );
      const { stderr } = await home.expect(3, ["health", "127.0.0.1:1"]);
      assert.match(
        stderr,
        /^error: No worker can be reached at 127\.0\.0\.1:1 \(connect ECONNREFUSED/,
      );
      const [line] = await home.json(["health", "127.0.0.1:1"], { code: 3 });
      assert.deepEqual([line!.event, line!.code], ["error", "UNAVAILABLE"]);
    });

    await t.step("a record whose process is gone, or is not that worker, is dropped", async () => {
      const folder = join(home.stateFolder, "workers");
      const stale = (pid: number, name: string) =>
        writeFile(
          join(folder, `${pid}.json`),
          JSON.stringify({ ...workers[0], pid, name, model: "x", startedAt: "2026-01-01" }),
        );
      // Ids end far below this one; process 1 and this one are alive, and no workers.
      await Promise.all([stale(2 ** 30, "round"), stale(1, "round"), stale(Deno.pid, "round")]);
      await writeFile(join(folder, "5.json"), "{ half");
      assert.equal((await records(home)).length, 7);
      assert.equal((await home.json(["ps"])).length, 3);
      assert.equal((await records(home)).length, 3);
    });

    await t.step("a worker that was killed is started again, at its address", async () => {
      const { pid, address } = byName.get("square")![0]!;
      Deno.kill(pid, "SIGKILL");
      const { stderr } = await home.expect(0, ["up"]);
      assert.equal(stderr, "Starting a worker for square\n");
      assert.equal((await home.workers()).length, 3);
      const lines = await home.json<PsLine>(["ps"]);
      assert.equal(lines.find(({ name }) => name === "square")!.address, address);
    });

    await t.step("a run that lost its worker finds the one that starts elsewhere", async () => {
      const ensemble = ["--ensemble", zooPath("ensemble.toml")];
      const run = home.start(["sample", PROMPT, "--steps", "100", "--seed", "1", ...ensemble]);
      await run.says(/Sampling .*\b[1-9]\d*\/100/);
      const running = await home.json<WorkerLine>(["up"]);
      const { pid, address } = running.find(({ name }) => name === "square")!;
      Deno.kill(pid, "SIGKILL");
      await run.says(/square.*wait/);
      const { hostname, port } = new URL(`http://${address}`);
      {
        // Somebody else takes its port.
        using _listener = Deno.listen({ hostname, port: Number(port) });
        const again = await home.json<WorkerLine>(["up"]);
        assert.notEqual(again.find(({ name }) => name === "square")!.address, address);
      }
      assert.equal((await run.result).code, 0);
    });

    await t.step("down stops those of an ensemble, or all", async () => {
      const other = await writeEnsemble(home, "other", { round: zooPath("round") });
      assert.equal((await home.expect(0, ["down", other])).stdout, "No workers were running\n");
      const stopped = await home.json<WorkerLine>(["down", zooPath("ensemble.toml")]);
      assert.deepEqual(stopped.map(({ name }) => name).sort(), [...ZOO_EXPERTS].sort());
      assert.deepEqual(await home.processes(), []);
      assert.deepEqual(await records(home), []);
      assert.match((await home.expect(0, ["ps"])).stdout, /^No workers are running\. Start some/);
      assert.deepEqual(await home.json(["ps"]), []);
      assert.equal((await home.expect(0, ["down"])).stdout, "No workers were running\n");
    });
  },
);

testTutti(
  "tutti up fails with the words of a worker that cannot start, and keeps the others",
  async (home) => {
    await mkdir(home.file("broken", "unet"), { recursive: true });
    const ensemble = await writeEnsemble(home, "half", {
      round: zooPath("round"),
      broken: home.file("broken"),
    });
    const { stdout, stderr } = await home.expect(4, ["up", ensemble]);
    assert.match(
      stderr,
      /^error: Worker "broken" did not start: .*broken\/unet\/config\.json.*log: /m,
    );
    assert.match(stdout, /^round +127\.0\.0\.1:\d+/m);
    assert.equal((await home.workers()).length, 1);
    const lines = await home.json(["up", ensemble], { code: 4 });
    assert.deepEqual(lines.map(({ name, event }) => name ?? event), ["round", "error"]);
    const log = (lines[1]!.details as { log: string }).log;
    assert.match(await Deno.readTextFile(log), /^error: /m);
    await home.expect(0, ["down"]);
  },
);

testTutti(
  "tutti up gives an expert the address of its file, where sample then finds it",
  async (home) => {
    const port = freePort();
    const other = await writeEnsemble(home, "other", { round: zooPath("round") });
    const [elsewhere] = await home.json<WorkerLine>(["up", other]);
    const ensemble = await writeEnsemble(home, "fixed", { round: zooPath("round") });
    const text = await Deno.readTextFile(home.file(ensemble));
    await writeFile(home.file(ensemble), `${text}address = "127.0.0.1:${port}"\n`);
    const lost = await home.expect(3, ["sample", PROMPT, "--ensemble", ensemble, "--steps", "1"]);
    assert.match(lost.stderr, new RegExp(`No worker can be reached at 127\\.0\\.0\\.1:${port}`));
    const [worker] = await home.json<WorkerLine>(["up", ensemble]);
    assert.equal(worker!.address, `127.0.0.1:${port}`);
    assert.notEqual(worker!.pid, elsewhere!.pid);
    const [again] = await home.json<WorkerLine>(["up", ensemble]);
    assert.deepEqual([again!.pid, again!.wasRunning], [worker!.pid, true]);
    const drawn = await home.expect(0, ["sample", PROMPT, "--ensemble", ensemble, "--steps", "1"]);
    assert.doesNotMatch(drawn.stderr, /Starting/);
    await home.expect(0, ["down", ensemble]);
    assert.match((await home.expect(0, ["down", "other"])).stdout, /^Stopped round at /);
  },
);

testTutti(
  "tutti up and sample take no worker of another ensemble whose security is not the file's",
  async (home) => {
    const open = await writeEnsemble(home, "open", { round: zooPath("round") });
    const [worker] = await home.json<WorkerLine>(["up", open]);
    await home.expect(0, ["certs", "certs"]);
    const safe = await writeEnsemble(home, "safe", { round: zooPath("round") });
    const text = await Deno.readTextFile(home.file(safe));
    const security = '[security]\ntoken_file = "certs/client.token"\n' +
      '[security.workers]\ntoken_file = "certs/tokens"\n';
    await writeFile(home.file(safe), `${text}${security}`);
    for (const args of [["up", safe], ["sample", PROMPT, "--ensemble", safe, "--steps", "1"]]) {
      const { stderr } = await home.expect(1, args);
      assert.match(
        stderr,
        new RegExp(`"round" runs at ${worker!.address} without credentials, .* "tutti down open"`),
      );
    }
    assert.equal((await home.workers()).length, 1);
    await home.expect(0, ["down", "open"]);
  },
);
