import assert from "node:assert/strict";
import { TuttiError } from "../../../shared/errors.ts";
import { Nats } from "../../../shared/nats/connect.ts";
import { natsOptions } from "../../../shared/nats/nats_options.ts";
import { NatsServer, testWithNats } from "../../support/nats_server.ts";
import { eventually } from "../../support/serve_expert.ts";

async function connect(nats: string): Promise<Nats> {
  return await Nats.connect((await natsOptions({ nats }, "a test"))!);
}

/** The error of connecting, which must tell the address and no secret. */
async function refusal(url: string, port: number): Promise<TuttiError> {
  const error = await connect(url).then(() => assert.fail("it connected"), (error) => error);
  assert.ok(error instanceof TuttiError, String(error));
  assert.match(error.message, new RegExp(`^NATS at 127\\.0\\.0\\.1:${port}: connecting failed: `));
  assert.doesNotMatch(Deno.inspect(error), /SECRET/);
  return error;
}

testWithNats(
  "Nats.connect() says what to do where no server is, and about a wrong login",
  async () => {
    const login = { user: "amy", password: "SECRET s@fe" };
    await using server = await NatsServer.start({ login });
    {
      await using nats = await connect(server.urlFor(login));
      assert.equal(nats.isConnected, true);
      assert.equal((await (await nats.jetStream()).getAccountInfo()).streams, 0);
    }
    const wrong = await refusal(server.urlFor({ ...login, password: "SECRET" }), server.port);
    assert.equal(wrong.code, "UNAUTHENTICATED");
    assert.match(wrong.message, /refuses this login\. Give its user and password in the URL/);
    assert.equal((await refusal(server.url, server.port)).code, "UNAUTHENTICATED");
    await server.stop();
    const away = await refusal(server.urlFor(login), server.port);
    assert.equal(away.code, "UNAVAILABLE");
    assert.match(away.message, /no NATS server answers there\. Check that nats-server runs/);
  },
);

testWithNats(
  "Nats.connect() ends no process with a refused login, whose connection the server may reset beside its answer",
  async () => {
    await using server = await NatsServer.start({ login: { user: "amy", password: "SECRET" } });
    // Before it was mended, one in ten was an uncaught error of its socket.
    for (let i = 0; i < 100; i++) {
      assert.equal((await refusal(server.url, server.port)).code, "UNAUTHENTICATED");
    }
  },
);

Deno.test("Nats.connect() is told at once of a server that hangs up, and waits for no answer", async () => {
  const info = { server_id: "a", version: "2.10.0", proto: 1, headers: true, max_payload: 1_000 };
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  for (const isLoginRead of [false, true]) {
    const refused = refusal(`nats://127.0.0.1:${port}`, port);
    using conn = await listener.accept();
    await conn.write(new TextEncoder().encode(`INFO ${JSON.stringify(info)}\r\n`));
    // The rest of the login stays unread, so that closing resets the connection.
    if (isLoginRead) await conn.read(new Uint8Array(1));
    conn.close();
    const { code, message } = await refused;
    assert.equal(code, "UNAVAILABLE");
    assert.match(message, /the server hangs up on the login\. Check that this is a NATS server/);
  }
});

testWithNats("Nats.jetStream() says how to switch JetStream on", async () => {
  await using server = await NatsServer.start({ jetStream: false });
  await using nats = await connect(server.url);
  await assert.rejects(nats.jetStream(), (error) => {
    assert.ok(error instanceof TuttiError);
    assert.equal(error.code, "FAILED_PRECONDITION");
    assert.match(
      error.message,
      /has no JetStream\. Start it with JetStream: nats-server --jetstream/,
    );
    return true;
  });
});

testWithNats(
  "Nats comes back after the server was killed, however often, and tells of it",
  async () => {
    await using server = await NatsServer.start();
    await using nats = await connect(server.url);
    const told: boolean[] = [];
    nats.onChange((isConnected) => void told.push(isConnected));
    for (let i = 0; i < 3; i++) {
      await server.kill();
      await eventually(() => !nats.isConnected);
      await server.restart({ emptyStore: i === 1 });
      await eventually(() => nats.isConnected);
      await nats.jetStream();
    }
    assert.deepEqual(told, [false, true, false, true, false, true]);
  },
);
