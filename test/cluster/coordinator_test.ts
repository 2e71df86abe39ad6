import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { JobQueue } from "../../coordinator/jobs/queue/job_queue.ts";
import { newRecord } from "../../coordinator/jobs/queue/job_record.ts";
import { JOB } from "../coordinator/jobs/small_job.ts";
import { connectTo, type EventLine, testQueue } from "../support/job_queue.ts";
import { readSamples } from "../support/read_samples.ts";
import { jsonLines } from "../support/run_tutti.ts";
import { serialAt } from "../support/serial_at.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

const STEPS = 80;
/** Longer than a lease and the queue's patience. */
const AWAY_MS = 8_000;

testQueue(
  "a drained job goes on with another coordinator, through a time without NATS, to the bits of tutti sample",
  async (queue) => {
    const drained = await queue.coordinator("drained", "--log", "json", "--log-level", "info");
    await queue.submit("picture", 5, STEPS);
    await queue.until("picture", ({ stepsDone }) => stepsDone >= 3);
    drained.process.kill("SIGTERM");
    const { code, stdout, stderr } = await drained.process.result;
    assert.equal(code, 0);
    // Notes for people are lines, too.
    const told = jsonLines(stderr).filter(({ message }) =>
      /^(asking|job|drain) /.test(message as string)
    );
    assert.deepEqual(told.map(({ message, job, code }) => [message, job, code]), [
      ["asking for jobs", undefined, undefined],
      ["job started", "picture", undefined],
      ["drain began", undefined, undefined],
      ["job returned", "picture", "UNAVAILABLE"],
      ["drain ended", undefined, undefined],
    ]);
    assert.ok(!stderr.includes(PROMPT), "a prompt was logged");
    const last = jsonLines<EventLine>(stdout).at(-1)!;
    assert.deepEqual([last.event, last.job, last.error!.details.state], [
      "returned",
      "picture",
      "draining",
    ]);
    const waiting = await queue.record("picture");
    assert.deepEqual([waiting.state, waiting.attempts], ["queued", 0]);
    assert.ok(waiting.stepsDone >= 3 && waiting.stepsDone < STEPS);

    const other = await queue.coordinator("other");
    const [line] = await other.process.says(/\{"version":1,"event":"started".*\}/);
    assert.equal((JSON.parse(line) as EventLine).stepsDone, waiting.stepsDone);
    // Somebody who would take it.
    const idle = await queue.coordinator("idle");
    await queue.server.stop();
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
    await queue.server.restart();
    const done = await queue.done("picture");
    // The one that had it kept it.
    const starts = [...await other.kill(), ...await idle.kill()].filter(({ event }) =>
      event === "started"
    );
    assert.deepEqual(starts.map(({ job }) => job), ["picture"]);
    assert.equal(done.images[0]!.sha256, await queue.undisturbed(5, STEPS));
  },
);

testQueue(
  "jobs end as failed or cancelled with a reason, and submit --follow with the job's exit code",
  async (queue) => {
    const { home, env } = queue;
    await using nats = await connectTo(queue.server);
    const worn = { id: "worn", spec: JOB };
    await queue.records.create({ ...newRecord(worn.id, worn.spec), attempts: 5, stepsDone: 2 });
    await (await JobQueue.open(nats)).add(worn);
    await nats.connection.jetstream().publish("tutti.jobs.shapes", "no job");
    const coordinator = await queue.coordinator("one", "--http", "127.0.0.1:0");
    const [, http] = await coordinator.process.says(/"event":"ready","http":"([^"]+)"/);

    const wrong = await home.expect(2, [
      "submit",
      PROMPT,
      "--wire-dtype",
      "f32,OUT99=int8",
      "--id",
      "wrong",
      "--follow",
    ], { env });
    assert.match(
      wrong.stderr,
      /error: --wire-dtype must name blocks among IN00\.\.OUT11: .* "OUT99"/,
    );
    const { error } = await queue.until("worn", ({ state }) => state === "failed");
    assert.equal(
      error!.message,
      'Job "worn" was tried 5 times in a row after step 2 without finishing another one: ' +
        "its coordinator ended without a word each time",
    );

    const long = home.start(["submit", PROMPT, "--steps", "1000", "--id", "long", "--follow"], {
      env,
    });
    await long.says(/Job long/);
    await queue.until("long", ({ stepsDone }) => stepsDone >= 2);
    const listed = await home.expect(0, ["jobs"], { env });
    assert.match(listed.stdout, /long +running: step \d+ of 1000 on one/);
    await home.expect(0, ["jobs", "--cancel", "long"], { env });
    assert.equal((await long.result).code, 130);
    assert.equal((await queue.record("long")).state, "cancelled");

    const bundled = await Deno.readTextFile(zooPath("ensemble.toml"));
    const paths = /^(sabw|vae|tokenizer|scheduler|model) = "/gm;
    const toml = bundled.replaceAll(paths, `$1 = "${zooPath()}/`);
    await Deno.writeTextFile(home.file("mine.toml"), `${toml}\n[defaults]\nsteps = 2\n`);
    const absent = await home.expect(4, ["submit", PROMPT, "--ensemble", "none.toml"], { env });
    assert.match(absent.stderr, /none\.toml/);
    const [good] = await home.json<{ id: string; state: string; images: unknown[] }>(
      ["submit", PROMPT, "--ensemble", "mine.toml", "--batch", "2", "--wait"],
      { env },
    );
    assert.deepEqual([good!.state, good!.images.length], ["done", 2]);
    const [{ path, seed }] = good!.images as [{ path: string; seed: string }];
    const table = (await home.expect(0, ["jobs"], { env })).stdout;
    const row = table.split("\n").find((line) => line.startsWith(good!.id.slice(0, 8)))!;
    assert.ok(row.includes(path) && row.includes("done"), table);
    const told = await home.expect(0, ["jobs", good!.id.slice(0, 6)], { env });
    assert.match(told.stdout, new RegExp(`^job +${good!.id}\nstate +done\n`));
    assert.ok(told.stdout.includes(`${path} (seed ${seed})`), told.stdout);
    const fetched = await home.json<{ fetched: string[] }>(
      ["jobs", good!.id, "--fetch", "elsewhere"],
      { env },
    );
    const [copy] = fetched[0]!.fetched;
    assert.deepEqual(await Deno.readFile(home.file(copy!)), await Deno.readFile(path));
    const none = await home.expect(1, ["jobs", "long", "--fetch", "long.png"], { env });
    assert.match(none.stderr, /Job "long" has no pictures: it is cancelled/);
    const several = await home.expect(2, ["jobs", "w"], { env });
    assert.match(several.stderr, /"w" must be the beginning of one job's id: 2 begin so/);
    assert.match(
      (await home.expect(1, ["jobs", "none"], { env })).stderr,
      /There is no job "none"/,
    );

    const prompts = home.file("prompts.txt");
    await Deno.writeTextFile(prompts, `${PROMPT}\n{"prompt": "a red circle", "seed": 9}\n`);
    const many = ["submit", "--prompts", prompts, "--id", "many", "--steps", "1", "--seed", "3"];
    const { stdout: ids } = await home.expect(0, many, { env });
    assert.equal(ids, "many-1\nmany-2\n");
    const [, again] = await home.json(many, { env });
    assert.deepEqual([again!.id, again!.isRepeated, again!.seeds], ["many-2", true, ["9"]]);
    assert.equal((await queue.done("many-2")).images[0]!.seed, "9");
    await queue.done("many-1");
    const samples = readSamples(await (await fetch(`http://${http}/metrics`)).text());
    const jobs = (labels: Record<string, string>) =>
      samples.sum("tutti_coordinator_jobs_total", labels);
    assert.equal(jobs({ event: "done" }), 3);
    assert.equal(jobs({ event: "failed", code: "cancelled" }), 1);
    assert.ok(samples.sum("tutti_coordinator_round_trip_seconds_count", { expert: "round" }) >= 50);
    assert.ok((await (await fetch(`http://${http}/ready`)).json()).ready);
    const events = (await coordinator.kill()).map(({ event, job }) => `${event} ${job}`);
    for (const expected of ["failed message 2", "failed worn", "failed wrong", "failed long"]) {
      assert.ok(events.includes(expected), `${expected} in ${events}`);
    }
  },
);

testQueue("the pages of a coordinator show a renewed certificate", async (queue) => {
  const { home } = queue;
  for (const folder of ["certs", "renewed"]) await home.expect(0, ["certs", folder]);
  const serial = async () => {
    const cert = await Deno.readTextFile(home.file("certs", "coordinator.pem"));
    return new X509Certificate(cert).serialNumber;
  };
  const tls = ["--tls-cert", "certs/coordinator.pem", "--tls-key", "certs/coordinator.key"];
  const coordinator = await queue.coordinator("one", "--http", "127.0.0.1:0", ...tls);
  const [, port] = await coordinator.process.says(/"http":"127\.0\.0\.1:(\d+)"/);
  assert.equal(await serialAt(Number(port)), await serial());
  for (const name of ["coordinator.pem", "coordinator.key"]) {
    await Deno.copyFile(home.file("renewed", name), home.file("certs", name));
  }
  const renewed = await serial();
  // The port is refused for a moment.
  await eventually(async () => await serialAt(Number(port)).catch(() => "") === renewed);
});
