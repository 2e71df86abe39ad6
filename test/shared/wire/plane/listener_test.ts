import assert from "node:assert/strict";
import { dirname } from "node:path";
import { closeConn, writeFully } from "../../../../shared/wire/plane/conn_io.ts";
import { dialPlane, type PlaneEndpoint } from "../../../../shared/wire/plane/dial.ts";
import { readTensorFrame, writeTensorFrame } from "../../../../shared/wire/plane/frame_stream.ts";
import {
  randomToken,
  readGreeting,
  writeGreeting,
} from "../../../../shared/wire/plane/greeting.ts";
import { type PlaneListener, startPlaneListener } from "../../../../shared/wire/plane/listener.ts";
import { sweepSocketFolders } from "../../../../shared/wire/plane/socket_folder.ts";
import { connPair, isClosed, readAll, wholeNumbers } from "./conn_pair.ts";
import { turns } from "../../../support/turns.ts";

const BOTH = { unix: true, tcp: { hostname: "127.0.0.1", port: 0 } } as const;
const UNAVAILABLE = { name: "PlaneError", code: "UNAVAILABLE" };
const NO_PROCESS = 2 ** 31 - 1; // Linux counts to 2^22.
const GREETING_BYTES = 68;

async function rawConnect(endpoint: PlaneEndpoint): Promise<Deno.Conn> {
  if (endpoint.kind === "unix") {
    return await Deno.connect({ transport: "unix", path: endpoint.path });
  }
  return await Deno.connect({ hostname: endpoint.hostname, port: endpoint.port });
}

/** The bytes of a hello. */
async function helloBytes(token: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  using pair = await connPair();
  const all = readAll(pair.right);
  await writeGreeting(pair.left, "hello", [token, randomToken()]);
  pair.left.close();
  return await all;
}

/** Sends `bytes` to a listener; settles when it hangs up. @returns what it said */
async function send(endpoint: PlaneEndpoint, bytes: Uint8Array, close = false): Promise<number> {
  const conn = await rawConnect(endpoint);
  await writeFully(conn, bytes).catch(() => {});
  if (close) await conn.closeWrite().catch(() => {});
  return (await readAll(conn).catch(() => new Uint8Array())).length;
}

/** A session of its own gets its plane and a tensor over it, in both directions. */
async function goodConnectionWorks(listener: PlaneListener, endpoint: PlaneEndpoint) {
  const token = randomToken();
  const { connection } = listener.expect(token);
  const client = await dialPlane(endpoint, token, 5000);
  const server = await connection;
  try {
    assert.equal(server.kind, endpoint.kind);
    assert.deepEqual(server.serverNonce, client.serverNonce);
    const [source, target] = [wholeNumbers(50_000), new Float32Array(50_000)];
    const frame = { sequence: 0, dtype: "f32" } as const;
    for (const [from, to] of [[client, server], [server, client]] as const) {
      target.fill(0);
      await Promise.all([
        writeTensorFrame(from.conn, frame, source),
        readTensorFrame(to.conn, { ...frame, elements: source.length }, target),
      ]);
      assert.deepEqual(target, source);
    }
  } finally {
    closeConn(client.conn);
    closeConn(server.conn);
  }
}

const fdCount = () => [...Deno.readDirSync("/proc/self/fd")].length;
const exists = (path: string) => Deno.lstat(path).then(() => true, () => false);
const folderOf = ([endpoint]: readonly PlaneEndpoint[]) =>
  dirname((endpoint as { path: string }).path);

Deno.test("planes open over unix and tcp, and close() leaves no descriptor, socket or folder", async () => {
  const cycle = async () => {
    const listener = await startPlaneListener(BOTH);
    assert.deepEqual(listener.endpoints.map(({ kind }) => kind), ["unix", "tcp"]);
    assert.deepEqual(listener.failures, []);
    const folder = folderOf(listener.endpoints);
    assert.equal((await Deno.stat(folder)).mode! & 0o7777, 0o700);
    for (const endpoint of listener.endpoints) await goodConnectionWorks(listener, endpoint);
    await Promise.all([listener.close(), listener.close()]);
    assert.equal(await exists(folder), false);
    for (const endpoint of listener.endpoints) {
      await assert.rejects(dialPlane(endpoint, randomToken(), 5000), UNAVAILABLE);
    }
    assert.deepEqual(listener.refusals, { token: 0, hello: 0, silence: 0, crowd: 0 });
  };
  await cycle();
  const before = fdCount();
  for (let i = 0; i < 5; i++) await cycle();
  assert.equal(fdCount(), before);
});

Deno.test("only what was asked for is opened, and what cannot be is told", async () => {
  await using tcp = await startPlaneListener({ unix: false, tcp: BOTH.tcp });
  const [endpoint] = tcp.endpoints;
  assert.ok(endpoint?.kind === "tcp" && tcp.endpoints.length === 1 && endpoint.port > 0);
  await using taken = await startPlaneListener({
    unix: true,
    tcp: { hostname: endpoint.hostname, port: endpoint.port },
  });
  assert.deepEqual(taken.endpoints.map(({ kind }) => kind), ["unix"]);
  assert.match(taken.failures[0]!.message, /^A tcp plane cannot be opened at 127\.0\.0\.1:/);
  await goodConnectionWorks(taken, taken.endpoints[0]!);
});

Deno.test("an unknown token and a used one are refused, and the next good connection works", async () => {
  await using listener = await startPlaneListener(BOTH);
  for (const endpoint of listener.endpoints) {
    await assert.rejects(dialPlane(endpoint, randomToken(), 5000), UNAVAILABLE);
    const token = randomToken();
    const expected = listener.expect(token);
    assert.throws(() => listener.expect(token), { code: "ALREADY_EXISTS" });
    const client = await dialPlane(endpoint, token, 5000);
    const server = await expected.connection;
    await assert.rejects(dialPlane(endpoint, token, 5000), UNAVAILABLE);
    expected.cancel(); // Too late to matter.
    assert.equal(isClosed(client.conn), false);
    assert.equal(isClosed(server.conn), false);
    await goodConnectionWorks(listener, endpoint);
  }
  assert.deepEqual(listener.refusals, { token: 4, hello: 0, silence: 0, crowd: 0 });
});

Deno.test("a token that is not 16 bytes is refused on both ends", async () => {
  await using listener = await startPlaneListener({ unix: true });
  for (const length of [0, 15, 17]) {
    const refusal = { name: "PlaneError", code: "INVALID_ARGUMENT" };
    assert.throws(() => listener.expect(new Uint8Array(length)), refusal);
    const dialing = dialPlane(listener.endpoints[0]!, new Uint8Array(length), 5000);
    await assert.rejects(dialing, refusal);
  }
});

Deno.test("a cancelled token is worth nothing, a closed listener expects nobody", async () => {
  const listener = await startPlaneListener({ unix: true });
  const token = randomToken();
  const cancelled = listener.expect(token);
  cancelled.cancel();
  await assert.rejects(cancelled.connection, { code: "CANCELLED" });
  await assert.rejects(dialPlane(listener.endpoints[0]!, token, 5000), UNAVAILABLE);
  const again = listener.expect(token);
  cancelled.cancel(); // Another's by now.
  listener.expect(randomToken()); // Nobody looks at this one.
  await listener.close();
  await assert.rejects(again.connection, UNAVAILABLE);
  assert.throws(() => listener.expect(randomToken()), UNAVAILABLE);
});

Deno.test("a hello cut at any byte is refused, and the next good connection works", async () => {
  await using listener = await startPlaneListener(BOTH);
  const token = randomToken();
  const expected = listener.expect(token);
  const hello = await helloBytes(token);
  assert.equal(hello.length, GREETING_BYTES);
  for (const endpoint of listener.endpoints) {
    for (let cut = 0; cut < hello.length; cut++) {
      assert.equal(await send(endpoint, hello.subarray(0, cut), true), 0, `cut at ${cut}`);
    }
    await goodConnectionWorks(listener, endpoint);
  }
  assert.deepEqual(listener.refusals, { token: 0, hello: 2 * hello.length, silence: 0, crowd: 0 });
  expected.cancel();
});

Deno.test("a hello with any bit flipped is refused, and the next good connection works", async () => {
  await using listener = await startPlaneListener({ unix: true });
  const [endpoint] = listener.endpoints;
  const token = randomToken();
  const { connection } = listener.expect(token);
  const hello = await helloBytes(token);
  for (let bit = 0; bit < 8 * hello.length; bit++) {
    const flipped = hello.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(await send(endpoint!, flipped), 0, `bit ${bit}`);
  }
  assert.deepEqual(listener.refusals, { token: 0, hello: 544, silence: 0, crowd: 0 });
  await goodConnectionWorks(listener, endpoint!);

  // The token is still good, at one byte a time as well.
  const slow = await rawConnect(endpoint!);
  for (const byte of hello) {
    await slow.write(new Uint8Array([byte]));
    await turns();
  }
  const { conn } = await connection;
  const [echo] = await readGreeting(slow, "ready");
  assert.deepEqual(echo, new Uint8Array(hello.subarray(48, 64)));
  closeConn(conn);
  slow.close();
});

Deno.test("whoever says nothing is hung up on after a while", async () => {
  await using listener = await startPlaneListener({ ...BOTH, helloTimeoutMs: 50 });
  for (const [index, endpoint] of listener.endpoints.entries()) {
    const idle = await Promise.all(Array.from({ length: 5 }, () => rawConnect(endpoint)));
    // Ends when all of them are hung up on.
    await Promise.all(idle.map((conn) => readAll(conn).catch(() => {})));
    const silence = 5 * (index + 1);
    assert.deepEqual(listener.refusals, { token: 0, hello: 0, silence, crowd: 0 });
  }
});

Deno.test("a crowd of those who say nothing keeps nobody out", async () => {
  const listener = await startPlaneListener({ ...BOTH, helloTimeoutMs: 600_000 });
  const idle: Deno.Conn[] = [];
  for (const [index, endpoint] of listener.endpoints.entries()) {
    idle.push(...await Promise.all(Array.from({ length: 70 }, () => rawConnect(endpoint))));
    await goodConnectionWorks(listener, endpoint);
    await goodConnectionWorks(listener, endpoint);
    const { token, hello, silence, crowd } = listener.refusals;
    assert.deepEqual([token, hello, silence], [0, 0, 0]);
    assert.ok(crowd >= 7 * (index + 1), `64 places, one of them for the good one: ${crowd}`);
  }
  await listener.close();
  await Promise.all(idle.map((conn) => readAll(conn).catch(() => {})));
});

Deno.test("close() hangs up on those who have not said who they are", async () => {
  const listener = await startPlaneListener(BOTH);
  const idle = await Promise.all(listener.endpoints.map(rawConnect));
  const token = randomToken();
  const expected = listener.expect(token);
  const named = await dialPlane(listener.endpoints[0]!, token, 5000);
  const { conn } = await expected.connection;
  await listener.close();
  for (const conn of idle) assert.equal((await readAll(conn).catch(() => [])).length, 0);
  await writeTensorFrame(named.conn, { sequence: 0, dtype: "f32" }, wholeNumbers(9));
  await readTensorFrame(conn, { sequence: 0, dtype: "f32", elements: 9 }, new Float32Array(9));
  closeConn(conn);
  closeConn(named.conn);
});

/** A server that answers a hello by `answer`, once. */
async function withServer(
  answer: (conn: Deno.Conn) => Promise<void>,
  dial: (endpoint: PlaneEndpoint) => Promise<void>,
): Promise<void> {
  const server = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = server.accept().then(async (conn) => {
    await answer(conn).catch(() => {});
    closeConn(conn);
  }, () => {});
  try {
    await dial({ kind: "tcp", hostname: "127.0.0.1", port: server.addr.port });
  } finally {
    server.close();
    await serving;
  }
}

Deno.test("dialPlane() refuses a wrong echo, a server that is none, and one that hangs up", async () => {
  const refuses = (answer: (conn: Deno.Conn) => Promise<void>, code: string, message: RegExp) =>
    withServer(answer, async (endpoint) => {
      await assert.rejects(dialPlane(endpoint, randomToken(), 5000), { code, message });
    });
  const wrongEcho = async (conn: Deno.Conn) => {
    await readGreeting(conn, "hello");
    await writeGreeting(conn, "ready", [randomToken(), randomToken()]);
  };
  await refuses(wrongEcho, "INVALID_ARGUMENT", /^Echo of the nonce must be /);
  const mirror = async (conn: Deno.Conn) => {
    await writeGreeting(conn, "hello", await readGreeting(conn, "hello"));
  };
  await refuses(mirror, "INVALID_ARGUMENT", /^Frame kind must be ready: current value is hello$/);
  const web = async (conn: Deno.Conn) => {
    await readGreeting(conn, "hello");
    await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"));
  };
  await refuses(web, "INVALID_ARGUMENT", /^Frame magic must be /);
  const hangUp = async (conn: Deno.Conn) => void await readGreeting(conn, "hello");
  await refuses(hangUp, "UNAVAILABLE", /gone|broke/);
});

Deno.test("dialPlane() gives up after its time, and when it is cancelled", async () => {
  const silent = async (conn: Deno.Conn) => void await readAll(conn);
  const stop = new AbortController();
  const stopping = async (conn: Deno.Conn) => {
    await readGreeting(conn, "hello");
    stop.abort();
    await readAll(conn);
  };
  await withServer(silent, async (endpoint) => {
    await assert.rejects(dialPlane(endpoint, randomToken(), 30), {
      name: "PlaneError",
      code: "DEADLINE_EXCEEDED",
      message: "No tcp plane within 30 ms",
    });
  });
  await withServer(stopping, async (endpoint) => {
    const dialing = dialPlane(endpoint, randomToken(), 5000, stop.signal);
    await assert.rejects(dialing, { code: "CANCELLED" });
    const late = dialPlane(endpoint, randomToken(), 5000, stop.signal);
    await assert.rejects(late, { code: "CANCELLED" });
  });
});

Deno.test("dialPlane() says UNAVAILABLE where nobody listens", async () => {
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const nobody: readonly PlaneEndpoint[] = [
    { kind: "tcp", hostname: "127.0.0.1", port },
    { kind: "unix", path: "/tmp/tutti-test-nobody.sock" },
  ];
  for (const endpoint of nobody) {
    await assert.rejects(dialPlane(endpoint, randomToken(), 5000), {
      ...UNAVAILABLE,
      message: /plane cannot be reached/,
    });
  }
});

Deno.test("sweepSocketFolders() removes folders without a process, and keeps those that are listened on", async () => {
  await using listener = await startPlaneListener({ unix: true });
  const orphan = await Deno.makeTempDir({ prefix: `tutti-plane-${NO_PROCESS}-` });
  const served = await Deno.makeTempDir({ prefix: `tutti-plane-${NO_PROCESS}-` });
  const server = Deno.listen({ transport: "unix", path: `${served}/plane.sock` });
  try {
    // What a killed process leaves: a socket that nobody listens on.
    Deno.listen({ transport: "unix", path: `${orphan}/plane.sock` }).close();
    const removed = await sweepSocketFolders();
    assert.ok(removed.includes(orphan) && !await exists(orphan));
    assert.ok(!removed.includes(served) && await exists(served));
    assert.ok(await exists(folderOf(listener.endpoints)));
  } finally {
    server.close();
    await Deno.remove(served, { recursive: true });
  }
});
