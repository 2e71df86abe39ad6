import assert from "node:assert/strict";
import { dialPlane, type PlaneEndpoint } from "../../../../shared/wire/plane/dial.ts";
import { closeConn } from "../../../../shared/wire/plane/conn_io.ts";
import { randomToken } from "../../../../shared/wire/plane/greeting.ts";
import { startPlaneListener } from "../../../../shared/wire/plane/listener.ts";
import { readTensorFrame, writeTensorFrame } from "../../../../shared/wire/plane/frame_stream.ts";
import { eventually } from "../../../support/serve_expert.ts";
import { EXPIRED, testCerts, VALID } from "../../../support/test_certs.ts";

const { authority, stranger, worker } = await testCerts();

function listen(tls = worker) {
  return startPlaneListener({ unix: false, tcp: { hostname: "127.0.0.1", port: 0, tls } });
}

function withCa(endpoint: PlaneEndpoint | undefined, ca = authority.cert): PlaneEndpoint {
  assert.equal(endpoint?.kind, "tcp");
  return { ...endpoint as PlaneEndpoint & { kind: "tcp" }, tls: { ca } };
}

Deno.test("a tcp plane with TLS carries a tensor both ways", async () => {
  await using listener = await listen();
  const token = randomToken();
  const expected = listener.expect(token);
  const client = await dialPlane(withCa(listener.endpoints[0]), token, 5000);
  const server = await expected.connection;
  assert.deepEqual(client.serverNonce, server.serverNonce);
  const sent = Float32Array.from({ length: 300_000 }, (_, i) => i);
  const frame = { sequence: 0, dtype: "f32" } as const;
  for (const [from, to] of [[client.conn, server.conn], [server.conn, client.conn]] as const) {
    const came = new Float32Array(sent.length);
    await Promise.all([
      writeTensorFrame(from, frame, sent),
      readTensorFrame(to, { ...frame, elements: came.length }, came),
    ]);
    assert.deepEqual(came, sent);
  }
  closeConn(client.conn);
  closeConn(server.conn);
});

Deno.test("over TLS, too, a wrong token and one that was used open nothing", async () => {
  await using listener = await listen();
  const endpoint = withCa(listener.endpoints[0]);
  const refused = { code: "UNAVAILABLE" };
  await assert.rejects(dialPlane(endpoint, randomToken(), 5000), refused);
  const token = randomToken();
  const expected = listener.expect(token);
  const client = await dialPlane(endpoint, token, 5000);
  await assert.rejects(dialPlane(endpoint, token, 5000), refused);
  closeConn(client.conn);
  closeConn((await expected.connection).conn);
  assert.equal(listener.refusals.token, 2);
});

Deno.test("a plane is not dialed past a certificate that is wrong, and no token is shown", async () => {
  const token = randomToken();
  const wrong = [
    { pair: worker, ca: stranger.cert },
    { pair: await authority.issue("worker", ["127.0.0.2"], VALID), ca: authority.cert },
    { pair: await authority.issue("worker", ["127.0.0.1"], EXPIRED), ca: authority.cert },
  ];
  for (const { pair, ca } of wrong) {
    await using listener = await listen(pair);
    const expected = listener.expect(token);
    await assert.rejects(dialPlane(withCa(listener.endpoints[0], ca), token, 5000), {
      code: "UNAVAILABLE",
      message: /^The tcp plane cannot be reached: .*certificate/,
    });
    expected.cancel();
    await assert.rejects(expected.connection, { code: "CANCELLED" });
  }
});

Deno.test("plain text and TLS do not meet: both ends give up, and the next good one is served", async () => {
  await using listener = await listen();
  const plain = { ...withCa(listener.endpoints[0]) as PlaneEndpoint & { kind: "tcp" } };
  const token = randomToken();
  const expected = listener.expect(token);
  const { kind, hostname, port } = plain;
  await assert.rejects(dialPlane({ kind, hostname, port }, token, 5000), {
    message: /Frame magic|other end of the plane is gone|connection broke/,
  });
  const client = await dialPlane(plain, token, 5000);
  closeConn(client.conn);
  closeConn((await expected.connection).conn);
  await using open = await startPlaneListener({
    unix: false,
    tcp: { hostname: "127.0.0.1", port: 0 },
  });
  await assert.rejects(dialPlane(withCa(open.endpoints[0]), token, 5000), {
    code: "UNAVAILABLE",
  });
});

Deno.test("unfinished handshakes take so many descriptors and no more; once they are gone, the plane is there", async () => {
  const tcp = { hostname: "127.0.0.1", port: 0, tls: worker };
  await using listener = await startPlaneListener({ unix: false, tcp, helloTimeoutMs: 2_000 });
  const endpoint = withCa(listener.endpoints[0]);
  const { port } = endpoint as PlaneEndpoint & { kind: "tcp" };
  const silent = await Promise.all(Array.from({ length: 300 }, () => Deno.connect({ port })));
  const { refusals } = listener;
  await eventually(() => refusals.silence + refusals.crowd === 256);
  // The next one waits for a place.
  await assert.rejects(dialPlane(endpoint, randomToken(), 200), { code: "DEADLINE_EXCEEDED" });
  assert.equal(refusals.silence + refusals.crowd, 256);
  silent.forEach(closeConn);
  const token = randomToken();
  const expected = listener.expect(token);
  const client = await dialPlane(endpoint, token, 5000);
  closeConn(client.conn);
  closeConn((await expected.connection).conn);
});
