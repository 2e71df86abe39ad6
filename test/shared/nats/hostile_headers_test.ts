import assert from "node:assert/strict";
import { headers } from "nats";
import { WorkerWatch } from "../../../coordinator/discovery/worker_watch.ts";
import { CasBucket } from "../../../shared/nats/cas_bucket.ts";
import { natsOptions } from "../../../shared/nats/nats_options.ts";
import { connectTo } from "../../support/job_queue.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";

const BUCKET = { ttlMs: 60_000, description: "of a test" };

/** Publishes with headers that no library would write. */
async function publishRaw({ port }: NatsServer, subject: string, lines: readonly string[]) {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const header = ["NATS/1.0", ...lines, "", ""].join("\r\n");
  const say = `CONNECT {"headers":true,"verbose":false}\r\n` +
    `HPUB ${subject} ${header.length} ${header.length + 1}\r\n${header}x\r\nPING\r\n`;
  await conn.write(new TextEncoder().encode(say));
  const heard = new Uint8Array(4096);
  for (let text = ""; !text.includes("PONG");) {
    text += new TextDecoder().decode(
      heard.subarray(0, await conn.read(heard) ?? assert.fail(text)),
    );
  }
}

testWithNats(
  "a message whose header cannot be read stops neither discovery nor a bucket",
  async () => {
    await using server = await NatsServer.start();
    await using nats = await connectTo(server);
    const workers = await CasBucket.open(nats, "tutti_workers", BUCKET);
    const lines = ["bad key: x", "no colon", ": nothing before it"];
    await publishRaw(server, "$KV.tutti_workers.evil", lines);
    assert.equal(new TextDecoder().decode((await workers.get("evil"))?.value), "x");
    assert.deepEqual(await workers.keys(), ["evil"]);
    const options = (await natsOptions({ nats: server.url }, "a test"))!;
    await using watch = await WorkerWatch.open(options);
    assert.equal(watch.view.isStale, false);
    await publishRaw(server, "$KV.tutti_workers.evil", lines);
    assert.ok(nats.isConnected);
    assert.equal(await workers.create("good", "y"), 3);
  },
);

testWithNats(
  "an entry with an operation that nobody knows is there, not absent and present",
  async () => {
    await using server = await NatsServer.start();
    await using nats = await connectTo(server);
    const bucket = await CasBucket.open(nats, "odd", BUCKET);
    const odd = headers();
    odd.set("KV-Operation", "put");
    nats.connection.publish("$KV.odd.key", "value", { headers: odd });
    await nats.connection.flush();
    assert.equal(await bucket.create("key", "mine"), undefined);
    assert.equal(new TextDecoder().decode((await bucket.get("key"))?.value), "value");
  },
);
