import assert from "node:assert/strict";
import { UsageError } from "../../../shared/errors.ts";
import { formatServerList, parseServerList } from "../../../shared/nats/server_list.ts";

Deno.test("parseServerList() reads servers, TLS and the login", () => {
  const server = { host: "127.0.0.1", port: 4333 };
  assert.deepEqual(parseServerList("nats://127.0.0.1:4333"), { servers: [server], isTls: false });
  assert.deepEqual(parseServerList("127.0.0.1:4333"), { servers: [server], isTls: false });
  assert.deepEqual(parseServerList("tls://amy:p%40ss:w@nats.example/"), {
    servers: [{ host: "nats.example", port: 4222 }],
    isTls: true,
    login: { user: "amy", pass: "p@ss:w" },
  });
  assert.deepEqual(parseServerList("nats://tok%2Fen@[::1]"), {
    servers: [{ host: "::1", port: 4222 }],
    isTls: false,
    login: { token: "tok/en" },
  });
  const two = parseServerList("nats://amy:pw@nats-1, nats-2:4333");
  assert.equal(formatServerList(two), "nats-1:4222, nats-2:4333");
  assert.deepEqual(two.login, { user: "amy", pass: "pw" });
});

Deno.test("parseServerList() refuses what is no list of servers, and never shows the login", () => {
  const wrong = [
    "",
    "nats://",
    "nats://amy:SECRET@",
    "nats://amy:SECRET@host:0",
    "nats://amy:SECRET@host:4222:1",
    "nats://amy:SECRET@host:99999",
    "nats://amy:%zzSECRET@host",
    "nats://amy:SECRET,SECRET@host:1,2",
    "ws://amy:SECRET@host",
    "nats://amy:SECRET@one,nats://bob:SECRET@two",
    "nats://SECRET@one,nats://two:-1",
  ];
  for (const text of wrong) {
    assert.throws(() => parseServerList(text), (error) => {
      assert.ok(error instanceof UsageError, text);
      assert.match(error.message, /^--nats must (be|have) /);
      assert.doesNotMatch(Deno.inspect(error), /SECRET/, text);
      return true;
    });
  }
});
