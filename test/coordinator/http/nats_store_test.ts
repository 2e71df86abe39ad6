import assert from "node:assert/strict";
import { NatsStore } from "../../../coordinator/http/store/nats_store.ts";
import { connectTo } from "../../support/job_queue.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { eventually } from "../../support/serve_expert.ts";
import { checkStore, servedJob } from "./job_store_contract.ts";

testWithNats("NatsStore keeps jobs as every store does", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  await checkStore(() => NatsStore.open(nats));
});

testWithNats("NatsStore writes what ended while NATS was away when it is back", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  {
    await using store = await NatsStore.open(nats);
    for (const id of ["a", "b"]) await store.add(servedJob(id));
    await server.stop();
    await eventually(() => !nats.isConnected);
    await assert.rejects(store.add(servedJob("c")), { code: "UNAVAILABLE" });
    await assert.rejects(store.put(servedJob("a", { state: "failed", endedAt: 1 })), {
      code: "UNAVAILABLE",
    });
    assert.equal((await store.get("a"))?.state, "failed");
    assert.equal(await store.get("c"), undefined);
    // It has lost what it had.
    await server.restart({ emptyStore: true });
    await eventually(() => nats.isConnected);
    // As it lies there: whoever opens the bucket would make it.
    const { streams } = await nats.jetStream();
    const text = async (id: string) => {
      const key = { last_by_subj: `$KV.tutti_served.${id}` };
      const message = await streams.getMessage("KV_tutti_served", key).catch(() => undefined);
      return message ? new TextDecoder().decode(message.data) : "";
    };
    await eventually(async () => /failed/.test(await text("a")) && /queued/.test(await text("b")));
  }
  await using store = await NatsStore.open(nats);
  assert.deepEqual((await store.unfinished()).map(({ id }) => id), ["b"]);
});

testWithNats("NatsStore belongs to one server at a time", async () => {
  await using server = await NatsServer.start();
  await using nats = await connectTo(server);
  let isOpen = false;
  let second: Promise<NatsStore>;
  {
    await using first = await NatsStore.open(nats);
    second = NatsStore.open(nats);
    void second.then(() => isOpen = true);
    // As many answers as the second one needs to open.
    for (const id of ["a", "b", "c", "d", "e", "f", "g", "h"]) await first.add(servedJob(id));
    assert.ok(!isOpen);
  }
  await using store = await second;
  assert.equal((await store.unfinished()).length, 8);
});
