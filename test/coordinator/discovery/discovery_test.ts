import assert from "node:assert/strict";
import { Discovery } from "../../../coordinator/discovery/discovery.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { Registration } from "../../../worker/registration.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { natsAt, registeredWorker } from "../../support/registered_worker.ts";
import { eventually } from "../../support/serve_expert.ts";

testWithNats(
  "Discovery.find() waits for a worker, and its directory follows the replicas",
  async () => {
    await using server = await NatsServer.start();
    await using discovery = await Discovery.open(await natsAt(server.url));
    const first = registeredWorker("w1", "10.0.0.5:7070");
    const { name } = first.expert;

    const waits: string[] = [];
    const finding = discovery.find({ name }, {
      waitMs: 20_000,
      onWait: (text) => waits.push(text),
    });
    await using one = await Registration.open(await natsAt(server.url));
    one.start(first);
    const directory = await finding;
    assert.deepEqual(waits, [`Waiting for a worker that serves name "${name}"`]);
    assert.deepEqual(directory.replicas(), [
      { address: "10.0.0.5:7070", isDraining: false, queueDepth: 0 },
    ]);

    let changes = 0;
    const end = directory.onChange(() => changes++);
    const addresses = () => directory.replicas().map(({ address }) => address);
    {
      await using two = await Registration.open(await natsAt(server.url));
      two.start(registeredWorker("w2", "10.0.0.6:7070"));
      await eventually(() => addresses().length === 2);
      first.state = "draining";
      await eventually(() => directory.replicas()[0]!.isDraining);
    }
    await eventually(() => addresses().length === 1);
    assert.equal(changes, 3);
    end();
    first.state = "serving";
    await eventually(() => !directory.replicas()[0]!.isDraining);
    assert.equal(changes, 3);
  },
);

testWithNats("Discovery.find() ends after its time, and when it is cancelled", async () => {
  await using server = await NatsServer.start();
  await using discovery = await Discovery.open(await natsAt(server.url));
  const missing = await discovery.find({ hash: "ab12" }, { waitMs: 100 }).catch((error) => error);
  assert.ok(missing instanceof TuttiError);
  assert.equal(missing.code, "NOT_FOUND");
  const cancel = new AbortController();
  const waiting = discovery.find({ name: "photo" }, {
    ...{ waitMs: 60_000, signal: cancel.signal },
    onWait: () => cancel.abort(),
  });
  await assert.rejects(waiting, { code: "CANCELLED" });
});
