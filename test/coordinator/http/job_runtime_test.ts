import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type { JobRuntime, NewJob } from "../../../coordinator/http/runtime/job_runtime.ts";
import { PictureFolder } from "../../../coordinator/http/store/picture_folder.ts";
import type { ServedJob } from "../../../coordinator/http/store/served_job.ts";
import { JOB_KEPT_MS } from "../../../coordinator/jobs/queue/job_record.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { runJob } from "../../../coordinator/jobs/run_job.ts";
import { storeImages } from "../../../coordinator/jobs/store_images.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { PROMPT } from "../../support/zoo.ts";
import { openRuntime, zooTests } from "./served_zoo.ts";
import { ExpiredJobs } from "../../../coordinator/http/runtime/expired_jobs.ts";
import { SqliteStore } from "../../../coordinator/http/store/sqlite_store.ts";
import { servedJob } from "./job_store_contract.ts";

function wanted(seed: bigint, steps: number, other: Partial<NewJob> = {}): NewJob {
  const spec = newJob({ prompt: PROMPT, seeds: [seed], ensemble: "shapes" }, { steps });
  return { ...{ spec, client: "a", owner: "a", dialect: "v1" }, ...other };
}

/** Resolves when so many steps of it are done. */
async function reached(runtime: JobRuntime, id: string, steps: number): Promise<void> {
  const live = runtime.live(id)!;
  for await (const { data } of live.events.after(0, new AbortController().signal)) {
    if (data.progress.stepsDone >= steps) return;
  }
  throw new Error(`Job ${id} ended before step ${steps}`);
}

async function ended(runtime: JobRuntime, id: string): Promise<ServedJob> {
  return await runtime.live(id)?.ended ?? (await runtime.find(id))!;
}

zooTests("JobRuntime", {
  "JobRuntime draws the bits of tutti sample's code, and of a run that was cut off": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    const { spec } = wanted(7n, 5);
    await storeImages(zoo, await runJob({ ensemble: zoo, spec, warn: () => {} }), [
      folder.join("expected.png"),
    ]);
    const bytes = await Deno.readFile(folder.join("expected.png"));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const submit = (runtime: JobRuntime, job: NewJob) =>
      runtime.submit(job).then(({ job }) => job.id);
    const ids: string[] = [];
    {
      await using runtime = await openRuntime(zoo, folder.join("state"));
      for (const seed of [7n, 8n, 7n]) ids.push(await submit(runtime, wanted(seed, 5)));
      await reached(runtime, ids[0]!, 2);
    }
    await using runtime = await openRuntime(zoo, folder.join("state"));
    const [first] = runtime.unfinished;
    assert.equal(first?.job.id, ids[0]);
    const changes = Array.fromAsync(
      first!.events.after(0, new AbortController().signal),
      ({ data }) => `${data.job.state} ${data.progress.stepsDone}`,
    );
    const jobs = await Promise.all(ids.map((id) => ended(runtime, id)));
    assert.deepEqual(jobs.map(({ state }) => state), ["succeeded", "succeeded", "succeeded"]);
    assert.deepEqual(jobs.map(({ outputs }) => outputs[0]!.sha256 === sha256), [true, false, true]);
    assert.deepEqual(await runtime.pictures.read(jobs[0]!.outputs[0]!.name), bytes);
    // It went on after the steps that were kept.
    const steps = (await changes).filter((change) => change.startsWith("running"));
    assert.ok(Number(steps[1]!.split(" ")[1]) >= 2, steps.join());
    assert.equal(runtime.unfinished.length, 0);
  },

  "JobRuntime cancels jobs that wait and that are drawn, and what has ended no more": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const [drawn, waits] = [
      await runtime.submit(wanted(1n, 900)),
      await runtime.submit(wanted(2n, 5)),
    ];
    await reached(runtime, drawn.job.id, 1);
    assert.equal(runtime.position(drawn.job), undefined);
    assert.equal(runtime.position(waits.job), 0);
    assert.equal((await runtime.cancel(waits.job)).state, "canceled");
    assert.equal((await runtime.cancel(drawn.job)).state, "canceling");
    const job = await ended(runtime, drawn.job.id);
    assert.equal(job.state, "canceled");
    assert.deepEqual(job.outputs, []);
    await assert.rejects(runtime.cancel(job), { code: "FAILED_PRECONDITION" });
    assert.deepEqual(
      (await runtime.list({ limit: 9 })).map(({ state }) => state),
      ["canceled", "canceled"],
    );
    assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.join("steps"))), []);
  },

  "JobRuntime takes no more than fit into its queue, and one key once": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path, { queueLimit: 4 });
    const { job } = await runtime.submit(wanted(1n, 900));
    const key = (bodyHash: string) => ({ idempotency: { key: "k", bodyHash } });
    const once = await runtime.submit(wanted(2n, 900, key("1")));
    const twice = await runtime.submit(wanted(3n, 900, key("1")));
    assert.deepEqual([once.isRepeated, twice.isRepeated], [false, true]);
    assert.equal(twice.job.id, once.job.id);
    await assert.rejects(runtime.submit(wanted(3n, 900, key("2"))), { code: "ALREADY_EXISTS" });
    await runtime.submit(wanted(4n, 900));
    await assert.rejects(runtime.submit(wanted(5n, 900)), {
      code: "RESOURCE_EXHAUSTED",
      message: "The queue is full: 2 jobs of this client wait already. Come again in 5 s",
      details: { retry_after_ms: "5000" },
    });
    for (const client of ["b", "c"]) await runtime.submit(wanted(6n, 900, { client }));
    await assert.rejects(runtime.submit(wanted(7n, 900, { client: "d" })), /4 jobs wait already/);
    for (const live of runtime.unfinished) await runtime.cancel(live.job);
    assert.equal((await ended(runtime, job.id)).state, "canceled");
  },

  "JobRuntime ends a job that ends its server each time, or whose pictures cannot be kept": async (
    zoo,
  ) => {
    await using folder = await tempFolder();
    const { spec } = wanted(1n, 1);
    {
      await using store = await SqliteStore.open(folder.path);
      const begun = { state: "running", attempts: 100 } as const;
      await store.add(servedJob("poison", { spec }));
      await store.put(servedJob("poison", { spec, ...begun }));
      // A step that was kept since counts from anew; this one has just not got so far.
      await store.add(servedJob("unlucky", { spec, attempts: 99 }));
    }
    await using runtime = await openRuntime(zoo, folder.path);
    const poison = await ended(runtime, "poison");
    assert.deepEqual([poison.state, poison.error?.code], ["failed", "INTERNAL"]);
    assert.equal((await ended(runtime, "unlucky")).state, "succeeded");
    await Deno.remove(folder.join("pictures"), { recursive: true });
    await Deno.writeTextFile(folder.join("pictures"), "");
    const { job } = await runtime.submit(wanted(1n, 1));
    const failed = await ended(runtime, job.id);
    assert.equal(failed.state, "failed");
    assert.match(failed.error!.message, /^Cannot write image /);
  },

  "JobRuntime knows how a job ended that it could not keep": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const { job } = await runtime.submit(wanted(1n, 3));
    await reached(runtime, job.id, 1);
    {
      using other = new DatabaseSync(folder.join("jobs.sqlite"));
      other.exec("DROP TABLE jobs");
    }
    assert.equal((await ended(runtime, job.id)).state, "succeeded");
    await assert.rejects(runtime.submit(wanted(1n, 1)), { code: "UNAVAILABLE" });
    // When all about its end has been done.
    await runtime.drain();
    assert.equal((await runtime.find(job.id))?.state, "succeeded");
    assert.deepEqual(runtime.unfinished, []);
  },

  "JobRuntime draws for one client after the other": async (zoo) => {
    await using folder = await tempFolder();
    await using runtime = await openRuntime(zoo, folder.path);
    const given: string[] = [];
    for (const client of ["a", "a", "a", "b", "b", "c"]) {
      const { job } = await runtime.submit(wanted(1n, 1, { client }));
      given.push(job.id);
    }
    const order: string[] = [];
    await Promise.all(given.map(async (id) => {
      const { client } = await ended(runtime, id);
      order.push(client);
    }));
    assert.deepEqual(order, ["a", "a", "b", "c", "a", "b"]);
  },

  "JobRuntime keeps jobs of an ensemble that is not served until it is": async (zoo) => {
    await using folder = await tempFolder();
    {
      await using runtime = await openRuntime({ ...zoo, name: "other" }, folder.path);
      await runtime.drain();
      await assert.rejects(runtime.submit(wanted(1n, 1)), { code: "UNAVAILABLE" });
    }
    {
      await using store = await SqliteStore.open(folder.path);
      const { spec } = wanted(1n, 2);
      await store.add(servedJob("mine", { spec: { ...spec, ensemble: "other" } }));
    }
    {
      await using runtime = await openRuntime(zoo, folder.path);
      assert.equal((await runtime.find("mine"))?.state, "queued");
      assert.deepEqual(runtime.load, { waiting: 0, running: 0 });
    }
    await using runtime = await openRuntime({ ...zoo, name: "other" }, folder.path);
    assert.equal((await ended(runtime, "mine")).state, "succeeded");
  },
});

Deno.test("what ended long ago expires, and is forgotten after as long again", async () => {
  await using folder = await tempFolder();
  await using store = await SqliteStore.open(folder.path);
  const pictures = await PictureFolder.open(folder.join("pictures"));
  const output = { name: "old.png", seed: "1", width: 8, height: 8, sizeBytes: 1, sha256: "" };
  for (const [id, endedAt] of [["old", 1000], ["new", 5000]] as const) {
    await store.add(servedJob(id));
    await store.put(
      servedJob(id, { state: "succeeded", endedAt, outputs: [{ ...output, name: `${id}.png` }] }),
    );
    await Deno.writeTextFile(folder.join("pictures", `${id}.png`), "x");
  }
  const expired = new ExpiredJobs(store, pictures, () => {});
  const now = 3000 + JOB_KEPT_MS;
  await expired.remove(now);
  const old = await store.get("old");
  assert.deepEqual([old?.state, old?.outputs, old?.spec.prompt], ["expired", [], ""]);
  assert.equal((await store.get("new"))?.state, "succeeded");
  assert.equal(await pictures.read("old.png"), undefined);
  assert.ok(await pictures.read("new.png"));
  await expired.remove(now + JOB_KEPT_MS + 1);
  assert.equal(await store.get("old"), undefined);
});

Deno.test("no name of a picture leads out of its folder", async () => {
  await using folder = await tempFolder();
  await Deno.writeTextFile(folder.join("secret.png"), "x");
  const pictures = await PictureFolder.open(folder.join("pictures"));
  const names = [
    "../secret.png",
    "..%2fsecret.png",
    "/etc/passwd",
    "a/../../secret.png",
    "a\0.png",
    "..",
    "a.0.png",
  ];
  for (const name of names) {
    assert.equal(await pictures.read(name), undefined, name);
    assert.equal(pictures.jobOf(name), undefined, name);
  }
  await pictures.remove(["../secret.png"]);
  assert.ok(await Deno.stat(folder.join("secret.png")));
  assert.equal(pictures.jobOf("a-1.12.png"), "a-1");
});
