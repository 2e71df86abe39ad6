import assert from "node:assert/strict";
import { jsonLines } from "../support/run_tutti.ts";
import { type EventLine, testQueue } from "../support/job_queue.ts";

const STEPS = 40;

testQueue(
  "a coordinator that was frozen and comes back is refused by the workers and writes nothing",
  async (queue) => {
    await queue.submit("picture", 5, STEPS);
    const zombie = await queue.coordinator("zombie");
    const before = await queue.until("picture", ({ stepsDone }) => stepsDone >= 3);
    zombie.process.kill("SIGSTOP");
    const heir = await queue.coordinator("heir");
    const taken = await queue.until(
      "picture",
      ({ coordinator, stepsDone }) => coordinator === "heir" && stepsDone > before.stepsDone + 1,
    );
    assert.ok(taken.fence > before.fence);
    // The heir is in the middle of it.
    zombie.process.kill("SIGCONT");
    const [line] = await zombie.process.says(/\{"version":1,"event":"lost".*\}/);
    const { job, error } = JSON.parse(line) as EventLine;
    assert.deepEqual([job, error!.code, error!.details.field], ["picture", "ABORTED", "fence"]);

    const done = await queue.done("picture");
    assert.deepEqual([done.coordinator, done.images.length], ["heir", 1]);
    const imagesOf = (name: string) =>
      Array.fromAsync(Deno.readDir(queue.home.file(`out-${name}`)), ({ name }) => name);
    assert.deepEqual(await imagesOf("heir"), ["picture.png"]);
    assert.deepEqual(await imagesOf("zombie"), []);

    // It lives on and draws the next job, alone.
    await heir.kill();
    await queue.submit("next", 6, 2);
    assert.equal((await queue.done("next")).coordinator, "zombie");
    zombie.process.kill("SIGTERM");
    const { code, stdout } = await zombie.process.result;
    assert.equal(code, 0);
    assert.deepEqual(
      jsonLines<EventLine>(stdout).flatMap(({ event, job }) => job === "picture" ? [event] : []),
      ["started", "lost"],
    );
  },
);
