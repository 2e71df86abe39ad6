/** Workers of real processes that are found over a real NATS server, as docs/operations.md tells. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { WorkerWatch } from "../../coordinator/discovery/worker_watch.ts";
import {
  LOGIN,
  SHARED_PARTS,
  testWithAnnounced,
  writeNamedEnsemble,
} from "../support/announced_workers.ts";
import { NatsServer, testWithNats } from "../support/nats_server.ts";
import { natsAt } from "../support/registered_worker.ts";
import { TuttiHome } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";
import { LEASE_MS, REFRESH_MS } from "../../shared/nats/worker_announcement.ts";

const EXPERTS = ["round", "square"];
/** What the project promises, and for a machine that does much else at the time. */
const GONE_MS = 10_000, SLACK_MS = 20_000;

testWithAnnounced("workers are listed, found by name or hash, and gone", EXPERTS, async (
  { server, home, env, workers, ps },
  t,
) => {
  const listed = await ps();
  const find = (name: string) => listed.find((line) => line.name === name)!;

  await t.step("ps lists them by name and hash", () => {
    assert.deepEqual(listed.map(({ name, state }) => [name, state]).sort(), [
      ["round", "serving"],
      ["square", "serving"],
    ]);
    assert.equal(new Set(listed.map(({ modelHash }) => modelHash)).size, 2);
  });

  await t.step(
    "sample by name and by the beginning of a hash draws what addresses draw",
    async () => {
      const draw = async (out: string, ...flags: string[]) => {
        const drawing = ["sample", PROMPT, "--steps", "2", "--seed", "7", "--out", `${out}.png`];
        await home.expect(0, [...drawing, "--save-latents", out, ...flags], { env });
        return await Deno.readFile(home.file(out));
      };
      const hash = find("round").modelHash.slice(0, 8);
      const ensemble = await writeNamedEnsemble(home, { round: { hash }, square: {} });
      const addresses = EXPERTS.map((name) => find(name).address).join(",");
      assert.deepEqual(
        await draw("named", "--ensemble", ensemble),
        await draw("given", "--workers", addresses, ...SHARED_PARTS),
      );
    },
  );

  await t.step("ps lists what was started by hand without NATS, too", async () => {
    const local = await home.json<{ address: string }>(["ps"]);
    assert.deepEqual(
      local.map(({ address }) => address).sort(),
      listed.map(({ address }) => address).sort(),
    );
    assert.equal((await home.expect(0, ["down"])).stdout, "No workers were running\n");
  });

  await t.step(
    "a run of workers at addresses goes on with one that is announced later",
    async () => {
      const round = home.start(["worker", "--model", zooPath("round"), "--listen", "127.0.0.1:0"]);
      await round.says(/Worker ready at/);
      const here = await home.json<{ address: string; name: string }>(["ps"]);
      const announced = find("round").address;
      const { address } = here.find((one) => one.name === "round" && one.address !== announced)!;
      const places = ["--workers", `${address},${find("square").address}`, ...SHARED_PARTS];
      const run = home.start(["sample", PROMPT, "--steps", "100", ...places], { env });
      await run.says(/Sampling .*\b[1-9]\d*\/100/);
      round.kill("SIGKILL");
      await run.says(/waits up to/);
      await run.says(new RegExp(`goes on at ${announced}`));
      assert.equal((await run.result).code, 0);
      await round.result;
      assert.equal((await home.json(["ps"])).length, 2);
    },
  );

  await t.step("what cannot be found is told with what there is", async () => {
    const args = ["sample", "x", "--experts", "ronud,square", ...SHARED_PARTS];
    const { stderr } = await home.expect(3, args, { env });
    assert.match(
      stderr,
      /^error: No worker serves a model with name "ronud" \(did you mean "round"\?\): there are round /m,
    );
    const without = await home.expect(2, args);
    assert.match(without.stderr, /Expert "ronud" is named by its model: --nats must say where/);
  });

  await t.step("a worker that stops is gone at once, one that is killed within 10 s", async () => {
    await using watch = await WorkerWatch.open(await natsAt(env.TUTTI_NATS!));
    const isKnown = (name: string) => watch.view.workers().some((each) => each.name === name);
    assert.ok(isKnown("round") && isKnown("square"));
    workers[1]!.kill("SIGTERM");
    const { stdout, stderr } = await workers[1]!.result;
    const goneMs = async (name: string) => {
      const start = performance.now();
      await eventually(() => !isKnown(name));
      return performance.now() - start;
    };
    const stoppedMs = await goneMs("square");
    assert.ok(stoppedMs < LEASE_MS - REFRESH_MS, `gone after ${stoppedMs} ms, as if killed`);
    workers[0]!.kill("SIGKILL");
    const killedMs = await goneMs("round");
    assert.ok(killedMs < GONE_MS + SLACK_MS, `gone after ${killedMs} ms`);
    assert.deepEqual(await ps(), []);
    assert.match(
      stderr,
      new RegExp(
        `Announced to NATS at 127.0.0.1:${server.port} as [0-9a-f]{16}, at 127.0.0.1:\\d+`,
        "m",
      ),
    );
    assert.doesNotMatch(stdout + stderr, /SECRET/);
  });
});

testWithNats("tutti refuses what cannot be announced or found, and prints no secret", async () => {
  await using server = await NatsServer.start({ login: LOGIN });
  const home = await TuttiHome.create();
  const worker = ["worker", "--model", join(home.path, "no-model")];
  const refused: readonly [code: number, args: readonly string[], message: RegExp][] = [
    [
      2,
      [...worker, "--nats", server.url, "--listen", "0.0.0.0:0", "--insecure"],
      /--nats needs --advertise HOST:PORT: this worker listens on all addresses/,
    ],
    [2, [...worker, "--advertise", "gpu-1:7070"], /--advertise needs --nats/],
    [
      1,
      [...worker, "--nats", server.urlFor({ ...LOGIN, password: "SECRET" })],
      /NATS at 127\.0\.0\.1:\d+: connecting failed: the NATS server refuses this login/,
    ],
    [
      2,
      ["ps", "--nats", "nats://amy:SECRET@host:port"],
      /--nats must be nats:.*current value is "nats:\/\/\*\*\*@host:port"/,
    ],
  ];
  try {
    for (const [code, args, message] of refused) {
      const { stdout, stderr } = await home.expect(code, args);
      assert.match(stderr, message);
      assert.doesNotMatch(stdout + stderr, /SECRET/);
    }
  } finally {
    await home.killProcesses();
    await Deno.remove(home.path, { recursive: true });
  }
});
