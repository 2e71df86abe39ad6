import assert from "node:assert/strict";
import { listWorkerSessions } from "../../coordinator/cluster/worker_status.ts";
import { FleetWorker } from "../fault/scenarios/worker_fleet.ts";
import { LONG_LIVED_MS, testTutti } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

interface SampleLine {
  readonly replicas: { readonly hedgesWon: number };
}

testTutti("sample --hedge overtakes a worker that stalls, to the same bits", async (home) => {
  const workers = await Promise.all(
    [1, 2].map(() => FleetWorker.start(home, { expert: "round", flags: [] })),
  );
  const addresses = workers.map(({ address }) => address);
  const args = (out: string) => [
    ...["sample", PROMPT, "--workers", addresses.join("+"), "--steps", "60", "--seed", "5"],
    ...["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer"), "--out", `${out}.png`],
    ...["--save-latents", `${out}.safetensors`, "--stats", "--json"],
  ];
  const options = { timeoutMs: LONG_LIVED_MS };
  await home.expect(0, args("calm"), options);

  const run = home.start([...args("stalled"), "--hedge"], options);
  let busy: FleetWorker | undefined;
  await eventually(async () => {
    const steps = await Promise.all(workers.map(async ({ address }) => {
      const [session] = await listWorkerSessions(address);
      return session?.stepIndex ?? -1;
    }));
    const ahead = Math.max(...steps);
    // By then it is known what is usual. A worker that was asked in the other's place for a moment has a session, too.
    if (ahead >= 12 && ahead > Math.min(...steps)) busy = workers[steps.indexOf(ahead)];
    return busy !== undefined;
  });
  busy!.signal("SIGSTOP");
  const { code, stdout, stderr } = await run.result;
  busy!.signal("SIGCONT");
  assert.equal(code, 0, stderr);
  const { replicas } = JSON.parse(stdout) as SampleLine;
  assert.ok(replicas.hedgesWon > 0, stdout);
  const latents = (out: string) => Deno.readFile(home.file(`${out}.safetensors`));
  assert.deepEqual(await latents("stalled"), await latents("calm"));
  await Promise.all(workers.map((worker) => worker.end()));
});
