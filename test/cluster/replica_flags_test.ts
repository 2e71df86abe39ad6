import assert from "node:assert/strict";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { listWorkerSessions } from "../../coordinator/cluster/worker_status.ts";
import { FleetWorker } from "../fault/scenarios/worker_fleet.ts";
import { sessionConfig } from "../support/expert_inputs.ts";
import { testQueue } from "../support/job_queue.ts";
import { LONG_LIVED_MS, testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { zooPath } from "../support/zoo.ts";

const PARTS = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];

function start(home: TuttiHome, ...experts: readonly string[]): Promise<FleetWorker[]> {
  return Promise.all(experts.map((expert) => FleetWorker.start(home, { expert, flags: [] })));
}

/** Sessions that a worker has opened so far: it numbers them. */
async function openedSessions({ address }: FleetWorker): Promise<number> {
  const expert = await connectExpert(address);
  const { id } = await expert.openSession(await sessionConfig(expert));
  await expert.close();
  return Number(/^s(\d+)-/.exec(id)![1]) - 1;
}

testQueue("coordinator --hedge keeps a spare session on a second worker", async (queue) => {
  const workers = await start(queue.home, "round", "round");
  const addresses = workers.map(({ address }) => address).join("+");
  const coordinator = await queue.coordinator("one", "--workers", addresses, ...PARTS, "--hedge");
  await queue.submit("picture", 5, 200, "--ensemble", "workers");
  const sessions = () => Promise.all(workers.map(({ address }) => listWorkerSessions(address)));
  // The image itself has one.
  await eventually(async () => (await sessions()).every(({ length }) => length > 0));
  await coordinator.kill();
  await Promise.all(workers.map((worker) => worker.end()));
});

testQueue("coordinator --park 0 gives a job back when its only worker is lost", async (queue) => {
  const [worker] = await start(queue.home, "round");
  const flags = ["--workers", worker!.address, ...PARTS, "--park", "0"];
  const coordinator = await queue.coordinator("one", ...flags);
  await queue.submit("picture", 5, 1000, "--ensemble", "workers");
  await queue.until("picture", ({ stepsDone }) => stepsDone > 0);
  await worker!.end();
  await coordinator.process.says(/"event":"returned","job":"picture".*was lost/);
  await coordinator.kill();
});

testTutti(
  "compare --hedge keeps spare sessions on a second worker; train has no --hedge",
  async (home) => {
    await home.expect(0, ["zoo", "shapes", "pictures", "--count", "4"]);
    const workers = await start(home, "round", "round", "square", "pointed");
    const [first, second, ...others] = workers.map(({ address }) => address);
    await home.expect(0, [
      ...["compare", "--workers", [`${first}+${second}`, ...others].join(), "--data", "pictures"],
      ...[...PARTS, "--sabw", zooPath("sabw"), "--size", "32", "--draws-per-image", "4"],
      ...["--batch", "1", "--hedge"],
    ], { timeoutMs: LONG_LIVED_MS });
    const [round, twin, square] = await Promise.all(workers.map(openedSessions));
    // As many for each expert, but for spares.
    assert.ok(round! + twin! > square!, `${round} and ${twin} for ${square}`);
    await Promise.all(workers.map((worker) => worker.end()));
    const refused = await home.expect(2, ["train", "--data", "pictures", "--out", "x", "--hedge"]);
    assert.match(refused.stderr, /unknown option '--hedge'/);
  },
);
