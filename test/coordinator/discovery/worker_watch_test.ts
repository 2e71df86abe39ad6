import assert from "node:assert/strict";
import { headers } from "nats";
import { WorkerWatch } from "../../../coordinator/discovery/worker_watch.ts";
import { Nats } from "../../../shared/nats/connect.ts";
import { encodeAnnouncement, WORKERS_BUCKET } from "../../../shared/nats/worker_announcement.ts";
import { Registration } from "../../../worker/registration.ts";
import { announcement } from "../../shared/nats/announcements.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { collectLines, natsAt, registeredWorker } from "../../support/registered_worker.ts";
import { eventually } from "../../support/serve_expert.ts";

testWithNats("a worker is seen when it comes, drains and goes", async () => {
  await using server = await NatsServer.start();
  await using watch = await WorkerWatch.open(await natsAt(server.url));
  const seen = (id: string) => watch.view.workers().find((each) => each.id === id);
  assert.deepEqual(watch.view.workers(), []);
  const own = registeredWorker("w1", "10.0.0.5:7070");
  {
    await using registration = await Registration.open(await natsAt(server.url));
    registration.start(own);
    await eventually(() => seen("w1") !== undefined);
    const { id, name, address, blocks, planes, draining } = seen("w1")!;
    assert.deepEqual({ id, name, address, blocks, planes, draining }, {
      ...{ id: "w1", name: own.expert.name, address: "10.0.0.5:7070", planes: ["tcp"] },
      ...{ blocks: own.expert.blocks.map((block) => block.id), draining: false },
    });
    // One that comes later finds it as well.
    await using late = await WorkerWatch.open(await natsAt(server.url));
    assert.deepEqual(late.view.workers().map((each) => each.id), ["w1"]);
    own.state = "stopping";
    await eventually(() => seen("w1")!.draining);
  }
  await eventually(() => seen("w1") === undefined);
});

testWithNats("two workers with one id are named at both ends", async () => {
  await using server = await NatsServer.start();
  const [atWatch, atWorker] = [collectLines(), collectLines()];
  await using watch = await WorkerWatch.open(await natsAt(server.url), atWatch);
  await using first = await Registration.open(await natsAt(server.url), atWorker);
  await using second = await Registration.open(await natsAt(server.url));
  first.start(registeredWorker("w1", "10.0.0.5:7070"));
  second.start(registeredWorker("w1", "10.0.0.6:7070"));
  await eventually(() => atWatch.lines.length > 0 && atWorker.lines.length > 1);
  const [warning] = atWorker.lines.filter((line) => line.startsWith("warning: "));
  assert.match(atWatch.lines[0]!, /two workers have the id w1: .*10\.0\.0\.[56]:7070/);
  assert.match(
    warning!,
    /another worker has the id w1 of this one: it is at 10\.0\.0\.6:7070, this one at 10\.0\.0\.5:7070/,
  );
  assert.deepEqual(watch.view.workers().map(({ address }) => address).sort(), [
    "10.0.0.5:7070",
    "10.0.0.6:7070",
  ]);
});

testWithNats("what is no worker is skipped with a line, and the next worker is seen", async () => {
  await using server = await NatsServer.start();
  await using nats = await Nats.connect(await natsAt(server.url));
  await using registration = await Registration.open(await natsAt(server.url));
  registration.start(registeredWorker("w1", "10.0.0.5:7070"));
  const { lines, onNotice } = collectLines();
  const say = (key: string, data: string | Uint8Array, header = "") => {
    const subject = `$KV.${WORKERS_BUCKET}.${key}`;
    const hdrs = headers();
    if (header) hdrs.set("KV-Operation", header);
    nats.connection.publish(subject, data, header ? { headers: hdrs } : {});
  };
  const hostile = () => {
    say("w2", "{}");
    say("w3", "x".repeat(900_000));
    say("w4", new Uint8Array([0xff, 0xfe]));
    say("w5", encodeAnnouncement(announcement({ id: "w6" })));
    say("a.b.c.d", encodeAnnouncement(announcement({ id: "a.b.c.d" })));
    say("w7", encodeAnnouncement(announcement({ id: "w7", address: "nowhere" })));
    say("w8", "", "DEL");
    say("w9", "", "NONSENSE");
  };
  // Some before it looks, some while it does.
  await eventually(async () => {
    hostile();
    await nats.connection.flush();
    const { streams } = await nats.jetStream();
    return await streams.info(`KV_${WORKERS_BUCKET}`).then(() => true, () => false);
  });
  hostile();
  await using watch = await WorkerWatch.open(await natsAt(server.url), { onNotice });
  hostile();
  for (let i = 0; i < 200; i++) say(`flood${i}`, "[]");
  const { count } = watch.view.workers().find(({ id }) => id === "w1") ?? { count: 0 };
  await eventually(() =>
    watch.view.workers().some((each) => each.id === "w1" && each.count > count)
  );
  assert.deepEqual(watch.view.workers().map(({ id }) => id), ["w1"]);
  const told = (pattern: RegExp) =>
    assert.equal(
      lines.filter((line) => pattern.test(line)).length,
      1,
      `${pattern}\n${lines.join("\n")}`,
    );
  told(/^warning: Entry "w2" of tutti_workers: WorkerAnnouncement\.id must be .*\. It is skipped$/);
  told(/Entry "w3" .* at most 16384 bytes: current value is 900000/);
  told(/Entry "w4" .* JSON in UTF-8/);
  told(/Entry "w5" .*\.id must be the key/);
  told(/Entry "w7" .*\.address must be HOST:PORT: current value is "nowhere"/);
  told(/more than 50 entries of tutti_workers are no workers/);
  assert.equal(lines.length, 51);
});

testWithNats(
  "a message that NATS will not take is told once, and the worker goes on trying",
  async () => {
    await using server = await NatsServer.start({ maxPayload: 600 });
    const { lines, onNotice } = collectLines();
    await using registration = await Registration.open(await natsAt(server.url), { onNotice });
    const worker = registeredWorker("w1", "10.0.0.5:7070");
    let attempts = 0;
    const status = () => {
      attempts++;
      return worker.status();
    };
    registration.start({ ...worker, status });
    await eventually(() => lines.length > 0);
    assert.match(
      lines[0]!,
      /^warning: NATS at .* the message is larger than the NATS server takes/,
    );
    const before = attempts;
    await eventually(() => attempts >= before + 2);
    assert.equal(lines.length, 1);
  },
);

testWithNats("who may not follow the workers lists them; who may not read is told so", async () => {
  const allowed = (subscribe: string) =>
    `authorization { users = [{ user: amy, password: pw, permissions: {
      publish: ">", subscribe: { allow: [${subscribe}] } } },
      { user: bob, password: pw, permissions: { publish: ["$KV.tutti_workers.>", "$JS.API.>"],
        subscribe: ["$KV.tutti_workers.>", "_INBOX.>"] } }] }`;
  await using server = await NatsServer.start({ config: allowed('"_INBOX.>"') });
  const login = (user: string) => natsAt(server.urlFor({ user, password: "pw" }));
  const { lines, onNotice } = collectLines();
  await using registration = await Registration.open(await login("bob"));
  registration.start(registeredWorker("w1", "10.0.0.5:7070"));
  await using watch = await WorkerWatch.open(await login("amy"), { onNotice });
  await eventually(() => lines.length > 0);
  assert.match(
    lines[0]!,
    /following the workers failed: this NATS user may not do that\. Allow it to .*listed every 1\.5 s$/,
  );
  await eventually(() => watch.view.workers().length === 1);
  const { count } = watch.view.workers()[0]!;
  await eventually(() => watch.view.workers()[0]!.count > count);
});
