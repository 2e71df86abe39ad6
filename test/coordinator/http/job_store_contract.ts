/** What every store of jobs must do: the same tests for each. @module */

import assert from "node:assert/strict";
import type { JobStore } from "../../../coordinator/http/store/job_store.ts";
import type { ServedJob } from "../../../coordinator/http/store/served_job.ts";
import { JOB } from "../jobs/small_job.ts";

export function servedJob(id: string, other: Partial<ServedJob> = {}): ServedJob {
  return {
    ...{ id, spec: JOB, state: "queued", client: "c", owner: "o", dialect: "v1", attempts: 0 },
    ...{ outputs: [], warnings: [], createdAt: 1 },
    ...other,
  };
}

/** @param open the same store each time: what one has kept the next one finds */
export async function checkStore(open: () => Promise<JobStore>): Promise<void> {
  const idsOf = (jobs: readonly ServedJob[]) => jobs.map(({ id }) => id);
  const hash = (bodyHash: string) => ({ key: "k", bodyHash });
  {
    await using store = await open();
    assert.equal(await store.get("a"), undefined);
    assert.equal(await store.add(servedJob("a", { idempotency: hash("1") })), undefined);
    // The same key is the same job, of this owner alone.
    const again = await store.add(servedJob("b", { idempotency: hash("2") }));
    assert.deepEqual(again, servedJob("a", { idempotency: hash("1") }));
    assert.equal(await store.get("b"), undefined);
    const other = servedJob("b", { owner: "p", idempotency: hash("2") });
    assert.equal(await store.add(other), undefined);
    for (const id of ["c", "d", "e"]) await store.add(servedJob(id));
    await store.put(servedJob("c", { state: "running", attempts: 1 }));
    const output = { name: "d.png", seed: "18446744073709551615", width: 8, height: 16 };
    const ended = servedJob("d", {
      ...{ state: "succeeded", startedAt: 2, endedAt: 5 },
      outputs: [{ ...output, sizeBytes: 3, sha256: "ab" }],
    });
    await store.put(ended);
    await store.put(servedJob("e", { state: "canceling" }));
    assert.deepEqual(await store.get("d"), ended);
    assert.deepEqual(idsOf(await store.unfinished()), ["c", "e", "a", "b"]);
    assert.deepEqual(idsOf(await store.list({ limit: 3 })), ["e", "d", "c"]);
    assert.deepEqual(idsOf(await store.list({ limit: 9, before: "c" })), ["b", "a"]);
    assert.deepEqual(idsOf(await store.list({ limit: 9, owner: "p" })), ["b"]);
    assert.deepEqual(idsOf(await store.list({ limit: 9, dialect: "comfy" })), []);
    const states = ["succeeded", "running"] as const;
    assert.deepEqual(idsOf(await store.list({ limit: 9, states })), ["d", "c"]);
    assert.deepEqual(idsOf(await store.list({ limit: 9, endedBefore: 6 })), ["d"]);
    assert.deepEqual(idsOf(await store.list({ limit: 9, endedBefore: 5 })), []);
    assert.equal(await store.checkpoint("c").load(), undefined);
  }
  await using store = await open();
  assert.deepEqual(idsOf(await store.unfinished()), ["c", "e", "a", "b"]);
  assert.deepEqual((await store.get("c"))?.spec, JOB);
  await store.delete("c");
  assert.deepEqual(idsOf(await store.unfinished()), ["e", "a", "b"]);
  // A name is not free again because a job is gone: later jobs come after it nevertheless.
  await store.add(servedJob("f", { dialect: "comfy", asked: { graph: { 1: "x" } } }));
  assert.deepEqual(idsOf(await store.list({ limit: 1 })), ["f"]);
  assert.deepEqual(idsOf(await store.list({ limit: 9, dialect: "comfy" })), ["f"]);
  assert.deepEqual((await store.get("f"))?.asked, { graph: { 1: "x" } });
}
