import assert from "node:assert/strict";
import { Patience } from "../../../../coordinator/cluster/admission_retry.ts";
import { connectExpert } from "../../../../coordinator/cluster/remote_expert.ts";
import { readWorkerStatus } from "../../../../coordinator/cluster/worker_status.ts";
import type { SampleRequest } from "../../../../coordinator/sampling/sample.ts";
import type { Expert } from "../../../../shared/engine/expert.ts";
import { TuttiError } from "../../../../shared/errors.ts";
import { bitEqual } from "../../../../shared/tensor/compare.ts";
import { AffineExpert } from "../../../support/affine_expert.ts";
import { Hold } from "../../../support/hold.ts";
import { serveExpert } from "../../../support/serve_expert.ts";
import { run, smallRequest } from "../small_run.ts";

const IDS = [98, 5, 17, 99, 99, 99, 99];
/** Far longer than the runs of a test take on any machine. */
const LONG_MS = 60_000;

function request(experts: readonly Expert[], changes: Partial<SampleRequest> = {}): SampleRequest {
  const prompts = { promptIds: [IDS], negativePromptIds: [IDS] };
  return smallRequest(experts, prompts, { waves: 2, ...changes });
}

Deno.test("runs that need all sessions of two workers, in opposite orders, do not wait for each other for ever", async () => {
  // Two waves take both sessions of a worker. Runs that held one each would never end.
  const limits = { maxSessions: 2, maxSessionsPerJob: 2 };
  const expert = (hash: string) =>
    new AffineExpert({ description: { modelHash: hash.repeat(64) } });
  await using a = await serveExpert(expert("a"), { limits });
  await using b = await serveExpert(expert("b"), { limits });
  const expected = await run(request([expert("a"), expert("b")]));
  const runs = Array.from({ length: 6 }, async (_, i) => {
    const addresses = [a.worker.address, b.worker.address];
    if (i % 2 === 1) addresses.reverse();
    const experts = await Promise.all(addresses.map((address) => connectExpert(address)));
    const refusals: TuttiError[] = [];
    const patience = new Patience({ waitMs: LONG_MS, onRefusal: (error) => refusals.push(error) });
    const latents = await run(request(experts, { patience }));
    await Promise.all(experts.map((expert) => expert.close()));
    return { latents, refusals };
  });
  const ends = await Promise.all(runs);
  for (const { latents } of ends) assert.ok(bitEqual(latents.data, expected.data));
  assert.ok(ends.some(({ refusals }) => refusals.length > 0), "none of them had to wait");
  for (const { address } of [a.worker, b.worker]) {
    const { sessions, waitingSessions, arenaBytesUsed } = await readWorkerStatus(address);
    assert.deepEqual([sessions, waitingSessions, arenaBytesUsed], [0, 0, 0]);
  }
});

Deno.test("a run without patience hears at once that a worker is full, one with patience at its end", async () => {
  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  await using served = await serveExpert(expert, { limits: { maxSessions: 1 } });
  const first = run(request([served.remote], { waves: 1 }));
  await hold.reached;
  const refused = (error: unknown) => {
    assert.ok(error instanceof TuttiError);
    const { limit, asked, left, retry_after_ms, worker } = error.details;
    assert.deepEqual([limit, asked, left, worker], [
      ...["max_sessions", "1", "0", served.worker.address],
    ]);
    assert.ok(Number(retry_after_ms) > 0);
    return true;
  };
  await assert.rejects(run(request([served.remote], { waves: 1 })), refused);
  const start = performance.now();
  const patience = new Patience({ waitMs: 200 });
  await assert.rejects(run(request([served.remote], { waves: 1, patience })), refused);
  assert.ok(performance.now() - start >= 190);
  const patient = run(
    request([served.remote], { waves: 1, patience: new Patience({ waitMs: LONG_MS }) }),
  );
  hold.release();
  assert.ok(bitEqual((await first).data, (await patient).data));
});
