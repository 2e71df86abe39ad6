import assert from "node:assert/strict";
import { WorkerWatch } from "../../../coordinator/discovery/worker_watch.ts";
import { LEASE_MS } from "../../../shared/nats/worker_announcement.ts";
import { Registration } from "../../../worker/registration.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { collectLines, natsAt, registeredWorker } from "../../support/registered_worker.ts";
import { eventually } from "../../support/serve_expert.ts";

testWithNats(
  "while NATS is away the view stays, and a worker is announced when it is back",
  async () => {
    await using server = await NatsServer.start();
    const [atWatch, atWorker] = [collectLines(), collectLines()];
    await server.stop();
    await using registration = await Registration.open(await natsAt(server.url), atWorker);
    registration.start(registeredWorker("w1", "10.0.0.5:7070"));
    assert.match(
      atWorker.lines.shift()!,
      /connecting failed: no NATS server answers there\. Check/,
    );
    await server.restart();
    await using watch = await WorkerWatch.open(await natsAt(server.url), atWatch);
    const count = () => watch.view.workers()[0]?.count ?? 0;
    await eventually(() => count() > 0);
    for (const emptyStore of [false, true]) {
      await server.kill();
      await eventually(() => watch.view.isStale);
      // Once longer than a lease.
      if (!emptyStore) await new Promise((resolve) => setTimeout(resolve, LEASE_MS + 500));
      assert.equal(watch.view.workers().length, 1);
      const before = count();
      await server.restart({ emptyStore });
      await eventually(() => !watch.view.isStale && count() > before);
    }
    assert.equal(watch.view.workers().length, 1);
    assert.deepEqual(atWatch.lines.map((line) => line.replace(/ at \S+/, "")), [
      "warning: the NATS server is away. Until it is back, the workers that were known last (1) are used",
      "NATS is back",
      "warning: the NATS server is away. Until it is back, the workers that were known last (1) are used",
      "NATS is back",
    ]);
    assert.match(atWorker.lines[0]!, /^Announced to NATS at \S+ as w1, at 10\.0\.0\.5:7070$/);
    assert.match(
      atWorker.lines[1]!,
      /^warning: NATS at .* The worker goes on serving, and is announced/,
    );
  },
);

testWithNats("a server that hangs is taken for away, not for one without workers", async () => {
  await using server = await NatsServer.start();
  await using watch = await WorkerWatch.open(await natsAt(server.url));
  await using registration = await Registration.open(await natsAt(server.url));
  registration.start(registeredWorker("w1", "10.0.0.5:7070"));
  await eventually(() => watch.view.workers().length === 1);
  server.pause();
  await eventually(() => watch.view.isStale);
  assert.equal(watch.view.workers().length, 1);
  server.resume();
  await eventually(() => !watch.view.isStale);
  const { count } = watch.view.workers()[0]!;
  await eventually(() => watch.view.workers()[0]!.count > count);
});
