import assert from "node:assert/strict";
import {
  findRunningWorkers,
  isWorkerProcess,
  listRecords,
  removeRecord,
  type WorkerRecord,
  writeRecord,
} from "../../../coordinator/cluster/worker_records.ts";
import { stateFolder } from "../../../shared/state_folder.ts";
import { eventually } from "../../support/serve_expert.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

/** Runs the body with a state folder of its own, where records are. */
function testRecords(name: string, body: (folder: TempFolder) => Promise<void>): void {
  Deno.test(name, async () => {
    await using folder = await tempFolder();
    const before = Deno.env.get("XDG_STATE_HOME");
    Deno.env.set("XDG_STATE_HOME", folder.path);
    try {
      await body(folder);
    } finally {
      if (before === undefined) Deno.env.delete("XDG_STATE_HOME");
      else Deno.env.set("XDG_STATE_HOME", before);
    }
  });
}

/** A process that looks like a worker of this name: its arguments say so. */
function standIn(...args: string[]): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", "read _", ...args], stdin: "piped" }).spawn();
}

/** Once it is no copy of this process any more. */
async function startedStandIn(name: string): Promise<Deno.ChildProcess> {
  const child = standIn("worker", name);
  await eventually(() => isWorkerProcess({ pid: child.pid, name }));
  return child;
}

async function end(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close();
  await child.status;
}

function record(pid: number, fields: Partial<WorkerRecord> = {}): WorkerRecord {
  const startedAt = "2026-01-02T03:04:05.678Z";
  const address = `127.0.0.1:${pid % 50_000 + 1}`;
  const fixed = { ensemble: "shapes", log: "a.log", startedAt };
  return { pid, address, name: "round", model: "/models/round", ...fixed, ...fields };
}

testRecords(
  "listRecords() gives living workers, oldest first, and drops what is no record of one",
  async (folder) => {
    assert.deepEqual(await listRecords(), []);
    const [old, young] = [standIn("worker", "round"), standIn("worker", "square")];
    const other = standIn("worker", "heart");
    const records = [
      record(young.pid, { name: "square", startedAt: "2026-02-01T00:00:00.000Z" }),
      record(old.pid),
    ];
    for (const entry of records) await writeRecord(entry);
    await writeRecord(record(other.pid));
    await writeRecord(record(2 ** 30));
    const workers = folder.join("tutti", "workers");
    await Deno.writeTextFile(`${workers}/7.json`, '{"pid": 7');
    await Deno.writeTextFile(`${workers}/8.json`, '{"pid": "8"}');
    await Deno.writeTextFile(`${workers}/notes.txt`, "not a record");

    assert.deepEqual(await listRecords(), records.toReversed());
    const left = (await Array.fromAsync(Deno.readDir(workers))).map(({ name }) => name).sort();
    assert.deepEqual(left, [`${old.pid}.json`, `${young.pid}.json`, "notes.txt"].sort());
    await Promise.all([old, young, other].map(end));
    assert.deepEqual(await listRecords(), []);
  },
);

testRecords("findRunningWorkers() finds weights by their real path", async (folder) => {
  const child = standIn("worker", "round");
  await Deno.mkdir(folder.join("model"));
  await Deno.symlink(folder.join("model"), folder.join("link"));
  const entry = record(child.pid, { model: folder.join("model") });
  await writeRecord(entry);
  assert.deepEqual(await findRunningWorkers(folder.join("link")), [entry]);
  assert.deepEqual(await findRunningWorkers(folder.join("model", "..", "model")), [entry]);
  assert.deepEqual(await findRunningWorkers(folder.path), []);
  assert.deepEqual(await findRunningWorkers(folder.join("nowhere")), []);

  await removeRecord(entry);
  await removeRecord(entry);
  assert.deepEqual(await findRunningWorkers(folder.join("model")), []);
  await end(child);
});

testRecords(
  "findRunningWorkers() gives workers at the file's addresses, and those of its own ensemble",
  async (folder) => {
    const children = await Promise.all([1, 2, 3].map(() => startedStandIn("round")));
    const [there, elsewhere, own] = children as [Deno.ChildProcess, ...Deno.ChildProcess[]];
    const model = folder.path;
    const entries = [
      record(there.pid, { model, address: "127.0.0.1:7070", ensemble: "other" }),
      record(elsewhere!.pid, { model, address: "127.0.0.1:7071", ensemble: "other" }),
      record(own!.pid, { model, address: "127.0.0.1:7072", ensemble: "mine" }),
    ];
    for (const entry of entries) await writeRecord(entry);
    const ports = async (wanted: Parameters<typeof findRunningWorkers>[1]) =>
      (await findRunningWorkers(model, wanted)).map(({ address }) => address.slice(-4)).sort();
    const addresses = [{ host: "127.0.0.1", port: 7070 }];
    assert.deepEqual(await ports({ name: "round", ensemble: "mine" }), ["7070", "7071", "7072"]);
    assert.deepEqual(await ports({ name: "round", ensemble: "mine", addresses }), ["7070", "7072"]);
    assert.deepEqual(await ports({ addresses: [{ host: "127.0.0.1", port: 9 }] }), []);
    await Promise.all(children.map(end));
  },
);

testRecords("findRunningWorkers() refuses workers of another security by name", async (folder) => {
  const [open, secured] = [await startedStandIn("round"), await startedStandIn("round")];
  const model = folder.path;
  const entries = [
    record(open.pid, { model, address: "127.0.0.1:7070", ensemble: "other" }),
    record(secured.pid, { model, address: "127.0.0.1:7071", ensemble: "safe", isSecured: true }),
  ];
  const found = (isSecured: boolean) => findRunningWorkers(model, { name: "photo", isSecured });
  await writeRecord(entries[0]!);
  assert.deepEqual(await found(false), [entries[0]]);
  await assert.rejects(found(true), {
    code: "FAILED_PRECONDITION",
    message: 'Expert "photo" runs at 127.0.0.1:7070 without credentials, and this ensemble wants ' +
      'them: stop it with "tutti down other" first',
    details: { worker: "127.0.0.1:7070", field: "security" },
  });
  await writeRecord(entries[1]!);
  assert.deepEqual(await found(true), [entries[1]]);
  await removeRecord(entries[0]!);
  await assert.rejects(found(false), /at 127\.0\.0\.1:7071 with credentials, .*tutti down safe/);
  await Promise.all([open, secured].map(end));
});

Deno.test("isWorkerProcess() takes a process for a worker only if it is that one", async () => {
  const child = standIn("worker", "round");
  const { pid } = child;
  // For a moment it is still a copy of this process.
  await eventually(() => isWorkerProcess({ pid, name: "round" }));
  if (Deno.build.os === "linux") {
    assert.equal(await isWorkerProcess({ pid, name: "square" }), false);
    assert.equal(await isWorkerProcess({ pid: Deno.pid, name: "round" }), false);
  }
  await end(child);
  assert.equal(await isWorkerProcess({ pid, name: "round" }), false);
});

testRecords(
  "stateFolder() follows XDG_STATE_HOME, else HOME, and says what is missing",
  (folder) => {
    assert.equal(stateFolder(), folder.join("tutti"));
    const home = Deno.env.get("HOME");
    Deno.env.delete("XDG_STATE_HOME");
    Deno.env.set("HOME", "/home/ann");
    try {
      assert.equal(stateFolder(), "/home/ann/.local/state/tutti");
      Deno.env.delete("HOME");
      assert.throws(stateFolder, /^TuttiError: HOME or XDG_STATE_HOME must be set/);
    } finally {
      if (home !== undefined) Deno.env.set("HOME", home);
    }
    return Promise.resolve();
  },
);
