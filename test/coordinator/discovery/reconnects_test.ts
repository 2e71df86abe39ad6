import assert from "node:assert/strict";
import type { JetStreamManager } from "nats";
import { WorkerWatch } from "../../../coordinator/discovery/worker_watch.ts";
import { Nats } from "../../../shared/nats/connect.ts";
import { WORKERS_BUCKET } from "../../../shared/nats/worker_announcement.ts";
import { Registration } from "../../../worker/registration.ts";
import { LinkProxy } from "../../support/link_proxy.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { natsAt, registeredWorker } from "../../support/registered_worker.ts";
import { eventually } from "../../support/serve_expert.ts";

/** Consumers of all streams: what a client that comes and goes must not pile up. */
async function countConsumers(jetStream: JetStreamManager): Promise<number> {
  let count = 0;
  for await (const { state, config } of jetStream.streams.list()) {
    count += state.consumer_count;
    const listed = await jetStream.consumers.list(config.name).next();
    assert.equal(listed.length, state.consumer_count);
  }
  return count;
}

testWithNats("a hundred reconnects leave no consumer on the server", async () => {
  await using server = await NatsServer.start();
  await using proxy = new LinkProxy({ server: { hostname: "127.0.0.1", port: server.port } });
  const url = `nats://${proxy.address}`;
  await using watch = await WorkerWatch.open(await natsAt(url));
  await using registration = await Registration.open(await natsAt(url));
  registration.start(registeredWorker("w1", "10.0.0.5:7070"));
  await eventually(() => watch.view.workers().length === 1);
  for (let i = 0; i < 100; i++) {
    // Told of it, for on a busy machine it may be over between two looks.
    const stale = Promise.withResolvers<void>();
    const end = watch.view.onChange(() => watch.view.isStale && stale.resolve());
    proxy.cut();
    await stale.promise;
    end();
    await eventually(() => !watch.view.isStale);
    assert.equal(watch.view.workers().length, 1, `reconnect ${i}`);
  }
  const { count } = watch.view.workers()[0]!;
  await eventually(() => watch.view.workers()[0]!.count > count);
  await using observer = await Nats.connect(await natsAt(server.url));
  const jetStream = await observer.jetStream();
  assert.equal(await countConsumers(jetStream), 0);
  const { state } = await jetStream.streams.info(`KV_${WORKERS_BUCKET}`);
  assert.equal(state.messages, 1);
});

testWithNats("connections that are half open are made anew", async () => {
  await using server = await NatsServer.start();
  await using proxy = new LinkProxy({ server: { hostname: "127.0.0.1", port: server.port } });
  const url = `nats://${proxy.address}`;
  await using watch = await WorkerWatch.open(await natsAt(url));
  await using registration = await Registration.open(await natsAt(url));
  registration.start(registeredWorker("w1", "10.0.0.5:7070"));
  await eventually(() => watch.view.workers().length === 1);
  const { count } = watch.view.workers()[0]!;
  proxy.stall();
  await eventually(() => watch.view.isStale);
  await eventually(() => !watch.view.isStale && (watch.view.workers()[0]?.count ?? 0) > count);
});
