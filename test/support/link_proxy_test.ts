import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { LinkProxy, type LinkProxyOptions } from "./link_proxy.ts";
import { eventually } from "./serve_expert.ts";

/** A server that takes connections, and a link to it. */
class Ends implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections: Deno.TcpConn[] = [];
  readonly proxy: LinkProxy;

  constructor(options: Omit<LinkProxyOptions, "server"> = {}) {
    const { port } = this.#listener.addr;
    this.proxy = new LinkProxy({ server: { hostname: "127.0.0.1", port }, ...options });
  }

  /** Both ends of a new connection, and the link between them. */
  async connect() {
    const before = this.proxy.connections.length;
    const client = await Deno.connect({ hostname: "127.0.0.1", port: this.proxy.port });
    const server = await this.#listener.accept();
    this.#connections.push(client, server);
    await eventually(() => this.proxy.connections.length > before);
    return { client, server, link: this.proxy.connections.at(-1)! };
  }

  async [Symbol.asyncDispose]() {
    await this.proxy[Symbol.asyncDispose]();
    this.#listener.close();
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // The test closed it.
      }
    }
  }
}

async function send(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    offset += await connection.write(bytes.subarray(offset));
  }
}

async function receive(connection: Deno.TcpConn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let offset = 0; offset < count;) {
    const read = await connection.read(bytes.subarray(offset));
    assert.notEqual(read, null, `ended after ${offset} of ${count} bytes`);
    offset += read!;
  }
  return bytes;
}

/** Everything until the end; an end by reset counts as one. */
async function receiveAll(connection: Deno.TcpConn): Promise<{ hash: string; count: number }> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(2 ** 20);
  let count = 0;
  for (;;) {
    const read = await connection.read(buffer).catch(() => null);
    if (read === null) return { hash: hash.digest("hex"), count };
    hash.update(buffer.subarray(0, read));
    count += read;
  }
}

/** Bytes without a short period, the same at every run. */
function someBytes(count: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(count / 4));
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, count);
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (words: string) => new TextEncoder().encode(words);

for (
  const [what, link] of Object.entries({
    "no delay": {},
    "a delay": { delayMs: 20 },
    "a link that is full most of the time": { delayMs: 3, maxBytesUnderWay: 300_000 },
  })
) {
  Deno.test(`50 MB go both ways at once unchanged and in order, with ${what}`, async () => {
    await using ends = new Ends({ link });
    const { client, server } = await ends.connect();
    const [up, down] = [someBytes(50e6, 1), someBytes(50e6, 2)];
    const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
    const say = async (end: Deno.TcpConn, bytes: Uint8Array) => {
      await send(end, bytes);
      await end.closeWrite();
    };
    const [heardUp, heardDown] = await Promise.all([
      receiveAll(server),
      receiveAll(client),
      say(client, up),
      say(server, down),
    ]);
    assert.deepEqual(heardUp, { hash: hash(up), count: 50e6 });
    assert.deepEqual(heardDown, { hash: hash(down), count: 50e6 });
  });
}

Deno.test("every direction takes its delay at least", async () => {
  await using ends = new Ends({ toServer: { delayMs: 60 }, toClient: { delayMs: 20 } });
  const { client, server } = await ends.connect();
  for (let message = 0; message < 3; message++) {
    const start = performance.now();
    await send(client, bytesOf("ping"));
    await receive(server, 4);
    const there = performance.now();
    assert.ok(there - start >= 60, `${there - start} ms to the server`);
    await send(server, bytesOf("pong"));
    await receive(client, 4);
    assert.ok(performance.now() - there >= 20, `${performance.now() - there} ms to the client`);
  }
});

Deno.test("half a millisecond is kept, too", async () => {
  await using ends = new Ends({ link: { delayMs: 0.5 } });
  const { client, server } = await ends.connect();
  for (let message = 0; message < 20; message++) {
    const start = performance.now();
    await send(client, bytesOf("ping"));
    await receive(server, 4);
    assert.ok(performance.now() - start >= 0.5);
  }
});

Deno.test("the end of what a sender says takes the delay, too", async () => {
  await using ends = new Ends({ link: { delayMs: 60 } });
  const { client, server } = await ends.connect();
  const start = performance.now();
  await client.closeWrite();
  assert.equal(await server.read(new Uint8Array(1)), null);
  assert.ok(performance.now() - start >= 60);
  await send(server, bytesOf("still heard"));
  assert.equal(text(await receive(client, 11)), "still heard");
});

Deno.test("a link with a rate is no faster than that", async () => {
  await using ends = new Ends({ link: { bytesPerSecond: 5e6 } });
  const { client, server } = await ends.connect();
  const start = performance.now();
  await Promise.all([send(client, someBytes(1e6)), receive(server, 1e6)]);
  assert.ok(performance.now() - start >= 200, `${performance.now() - start} ms`);
});

Deno.test("what is behind a lost packet waits until it is sent again, and nothing is missing", async () => {
  await using ends = new Ends({ toServer: { loss: 0.2 } });
  const { client, server } = await ends.connect();
  const delays: number[] = [];
  for (let i = 0; i < 40; i++) {
    const start = performance.now();
    const bytes = someBytes(1000, i);
    await Promise.all([
      send(client, bytes),
      receive(server, 1000).then((received) => assert.deepEqual(received, bytes)),
    ]);
    delays.push(performance.now() - start);
  }
  const lost = delays.filter((ms) => ms >= 200).length;
  // 8 of 40 are expected; by chance alone fewer than 1 or more than 24 come once in 7,000 runs.
  assert.ok(lost >= 1 && lost <= 24, `${lost} of 40`);
});

Deno.test("a receiver that does not read stops the sender, and then gets everything", async () => {
  const total = 64e6;
  await using ends = new Ends({ link: { maxBytesUnderWay: 2 ** 20 } });
  const { client, server } = await ends.connect();
  const bytes = someBytes(total);
  let taken = 0;
  const sending = (async () => {
    while (taken < total) taken += await client.write(bytes.subarray(taken, taken + 65_536));
    await client.closeWrite();
  })();
  // What the link and the sockets hold is taken; then nothing moves.
  let before = -1;
  await eventually(async () => {
    before = taken;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return taken > 0 && taken === before;
  });
  assert.ok(taken < total, "everything was taken without a reader");
  const { hash, count } = await receiveAll(server);
  await sending;
  assert.equal(count, total);
  assert.equal(hash, createHash("sha256").update(bytes).digest("hex"));
});

Deno.test("flip turns the bit that was named and no other, once", async () => {
  await using ends = new Ends();
  const { client, server, link } = await ends.connect();
  const sent = someBytes(1_000_000);
  link.plan("toServer", { kind: "flip", atByte: 777_777, bit: 5 });
  const [received] = await Promise.all([receive(server, sent.length), send(client, sent)]);
  const expected = sent.slice();
  expected[777_777]! ^= 1 << 5;
  assert.ok(received.every((byte, i) => byte === expected[i]));
  assert.notEqual(received[777_777], sent[777_777]);
  // The other direction has bytes of its own.
  const [back] = await Promise.all([receive(client, sent.length), send(server, sent)]);
  assert.ok(back.every((byte, i) => byte === sent[i]));
});

Deno.test("two flips in one chunk are both made", async () => {
  await using ends = new Ends();
  const { client, server, link } = await ends.connect();
  link.plan("toServer", { kind: "flip", atByte: 3 });
  link.plan("toServer", { kind: "flip", atByte: 1, bit: 7 });
  await send(client, Uint8Array.of(0, 0, 0, 0, 0));
  assert.deepEqual([...await receive(server, 5)], [0, 128, 0, 1, 0]);
});

Deno.test("cut at a byte passes on what is before it and ends both sides", async () => {
  await using ends = new Ends();
  const { client, server, link } = await ends.connect();
  link.plan("toServer", { kind: "cut", atByte: 5 });
  await send(client, bytesOf("hello world"));
  assert.equal((await receiveAll(server)).count, 5);
  assert.equal((await receiveAll(client)).count, 0);
  await link.closed;
  assert.deepEqual(link.passedBytes, { toServer: 5, toClient: 0 });
  assert.deepEqual(ends.proxy.connections, []);
});

Deno.test("cut now ends both sides, and new connections work", async () => {
  await using ends = new Ends({ link: { delayMs: 10 } });
  const first = await ends.connect();
  ends.proxy.cut();
  for (const end of [first.client, first.server]) assert.equal((await receiveAll(end)).count, 0);
  const { client, server } = await ends.connect();
  await send(client, bytesOf("again"));
  assert.equal(text(await receive(server, 5)), "again");
});

Deno.test("half open: both ends stay open and hear nothing until the link resumes", async () => {
  await using ends = new Ends();
  const { client, server, link } = await ends.connect();
  const other = await ends.connect();
  link.stall();
  await send(client, bytesOf("up"));
  await client.closeWrite();
  await send(server, bytesOf("down"));
  const heard: string[] = [];
  const listening = [receiveAll(server), receiveAll(client)].map(async (all) => {
    heard.push(`${(await all).count} bytes`);
  });
  // Another connection works meanwhile: there was time enough.
  for (let message = 0; message < 20; message++) {
    await send(other.client, bytesOf("ping"));
    await receive(other.server, 4);
  }
  assert.deepEqual(heard, []);
  assert.deepEqual(link.passedBytes, { toServer: 0, toClient: 0 });
  link.resume();
  await server.closeWrite();
  await Promise.all(listening);
  assert.deepEqual(heard.sort(), ["2 bytes", "4 bytes"]);
});

Deno.test("half open: an end that has died is not noticed at the other", async () => {
  await using ends = new Ends();
  const { client, server, link } = await ends.connect();
  const other = await ends.connect();
  link.stall();
  client.close();
  let isNoticed = false;
  const listening = server.read(new Uint8Array(1)).catch(() => null).then((read) => {
    isNoticed = true;
    return read;
  });
  for (let message = 0; message < 20; message++) {
    await send(other.client, bytesOf("ping"));
    await receive(other.server, 4);
  }
  assert.equal(isNoticed, false);
  link.resume();
  assert.equal(await listening, null);
});

Deno.test("stall at a byte keeps the rest, which resume passes on", async () => {
  await using ends = new Ends();
  const { client, server, link } = await ends.connect();
  link.plan("toServer", { kind: "stall", atByte: 6 });
  await send(client, bytesOf("hello world"));
  assert.equal(text(await receive(server, 6)), "hello ");
  // The other direction is not concerned.
  await send(server, bytesOf("yes?"));
  assert.equal(text(await receive(client, 4)), "yes?");
  assert.equal(link.passedBytes.toServer, 6);
  link.resume();
  assert.equal(text(await receive(server, 5)), "world");
});

Deno.test("drop lets a sender say everything while the receiver waits", async () => {
  await using ends = new Ends({ link: { maxBytesUnderWay: 2 ** 20 } });
  const { client, server, link } = await ends.connect();
  link.plan("toServer", { kind: "drop", atByte: 1000 });
  await send(client, someBytes(64e6));
  await client.closeWrite();
  await receive(server, 1000);
  await send(server, bytesOf("and?"));
  assert.equal(text(await receive(client, 4)), "and?");
  assert.equal(link.passedBytes.toServer, 1000);
});

Deno.test("planNext() is for the next connection alone", async () => {
  await using ends = new Ends();
  const before = await ends.connect();
  ends.proxy.planNext("toServer", { kind: "flip", atByte: 0 });
  const next = await ends.connect();
  const after = await ends.connect();
  const heard = await Promise.all([before, next, after].map(async ({ client, server }) => {
    await send(client, Uint8Array.of(4));
    return (await receive(server, 1))[0];
  }));
  assert.deepEqual(heard, [4, 5, 4]);
});

Deno.test("a server that refuses ends the client's connection", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using proxy = new LinkProxy({ server: { hostname: "127.0.0.1", port } });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
  assert.equal((await receiveAll(client)).count, 0);
  client.close();
});

Deno.test("disposing while a sender fills the link ends all", async () => {
  await using ends = new Ends({ link: { delayMs: 30, maxBytesUnderWay: 2 ** 20 } });
  const { client } = await ends.connect();
  const sending = send(client, someBytes(64e6));
  // It may fail before anyone waits for it.
  sending.catch(() => {});
  await eventually(() => ends.proxy.connections[0]!.passedBytes.toServer > 0);
  await ends.proxy[Symbol.asyncDispose]();
  await assert.rejects(sending);
});
