import assert from "node:assert/strict";
import { rename } from "node:fs/promises";
import { isOver, newRecord } from "../../coordinator/jobs/queue/job_record.ts";
import { jobSpecToJson } from "../../coordinator/jobs/job_spec.ts";
import { JOB } from "../coordinator/jobs/small_job.ts";
import { connectTo, testQueue } from "../support/job_queue.ts";
import { eventually } from "../support/serve_expert.ts";

const STEPS = 40;

testQueue(
  "a coordinator that cannot write gives its job back with all steps, takes none, and goes on when it can",
  async (queue) => {
    const coordinator = await queue.coordinator("one", "--http", "127.0.0.1:0");
    const [, http] = await coordinator.process.says(/"event":"ready","http":"([^"]+)"/);
    const ready = async () => {
      const response = await fetch(`http://${http}/ready`);
      return { status: response.status, ...await response.json() };
    };
    const out = queue.home.file("out-one");
    await queue.submit("picture", 5, STEPS);
    await queue.until("picture", ({ stepsDone }) => stepsDone >= 3);
    await rename(out, `${out}-away`);
    await Deno.writeTextFile(out, "no folder");
    await coordinator.process.says(
      /"event":"returned","job":"picture".*Images cannot be written to --out/,
    );
    await eventually(async () => (await ready()).status === 503);
    assert.match((await ready()).reason, /takes no jobs: Cannot write to --out "out-one"/);
    const waiting = await queue.until("picture", ({ state }) => state === "queued");
    assert.deepEqual([waiting.attempts, waiting.stepsDone], [0, STEPS]);
    // Longer than five tries took that failed the job for good.
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    assert.equal((await queue.record("picture")).state, "queued");

    await Deno.remove(out);
    const done = await queue.done("picture");
    assert.deepEqual(done.images!.map(({ sha256 }) => sha256), [await queue.undisturbed(5, STEPS)]);
    assert.equal(done.error, undefined);
    assert.equal((await ready()).status, 200);
    const events = (await coordinator.kill()).map(({ event }) => event);
    assert.deepEqual(events.filter((event) => event === "failed" || event === "waiting"), [
      "waiting",
    ]);

    // The queue forgets a job while nobody is there.
    await queue.submit("forgotten", 5, 2);
    await using nats = await connectTo(queue.server);
    await (await nats.jetStream()).streams.purge("tutti_jobs");
    const other = await queue.coordinator("other");
    await queue.done("forgotten");

    // Whoever may write to NATS puts another ensemble's job into this one's queue.
    const forged = { ...JOB, ensemble: "castles" };
    await queue.records.create(newRecord("forged", forged));
    const message = JSON.stringify({ id: "forged", spec: jobSpecToJson(forged) });
    await nats.connection.jetstream().publish("tutti.jobs.shapes", message);
    const { state, error } = await queue.until("forged", isOver);
    assert.equal(state, "failed");
    assert.match(error!.message, /must be for the ensemble shapes, .* its ensemble is "castles"/);
    const told = (await other.kill()).filter(({ event }) => event === "warning");
    assert.deepEqual(told.map(({ job }) => job), ["forgotten"]);
  },
);
