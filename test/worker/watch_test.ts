import assert from "node:assert/strict";
import type { BlockExpert } from "../../shared/engine/block_expert.ts";
import { UsageError } from "../../shared/errors.ts";
import { TokenGuard } from "../../shared/security/token_guard.ts";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { startWorkerServer } from "../../worker/rpc/server.ts";
import { AffineExpert } from "../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { Hold } from "../support/hold.ts";
import { eventually } from "../support/serve_expert.ts";
import { testCerts } from "../support/test_certs.ts";

const listen = "127.0.0.1:0";

async function get(address: string | undefined, path: string) {
  const response = await fetch(`http://${address}${path}`);
  return { code: response.status, body: await response.json() };
}

Deno.test("worker: /live always says yes, /ready only while it serves and else why not", async () => {
  const loading = Promise.withResolvers<BlockExpert>();
  await using worker = await startWorkerServer({ expert: loading.promise, listen, http: listen });
  const { httpAddress: http } = worker;
  assert.equal((await get(http, "/live")).code, 200);
  const notYet = await get(http, "/ready");
  assert.equal(notYet.code, 503);
  assert.equal(notYet.body.state, "loading");
  assert.match(notYet.body.reason, /loading its model/);

  const hold = new Hold("IN00");
  const expert = new AffineExpert({ beforeBlock: hold.beforeBlock });
  loading.resolve(expert);
  await worker.ready;
  assert.deepEqual(await get(http, "/ready"), { code: 200, body: { ready: true } });

  const remote = await connectExpert(worker.address);
  const config = await sessionConfig(expert);
  const session = await remote.openSession(config);
  const hiddenStates = latentsFor(expert.description, config);
  const forward = session.forward({ stepIndex: 0, first: "IN00", last: "IN00", hiddenStates });
  await hold.reached;
  const { body: status } = await get(http, "/status");
  assert.deepEqual([status.state, status.sessions, status.busyLanes], ["serving", 1, 1]);
  assert.deepEqual([status.sessionList.length, status.sessionList[0].batch], [1, 2]);

  const drained = worker.drain();
  const draining = await get(http, "/ready");
  assert.deepEqual([draining.code, draining.body.state], [503, "draining"]);
  assert.equal((await get(http, "/live")).code, 200);
  const stopped = worker.stop();
  await eventually(async () => (await get(http, "/ready")).body.state === "stopping");
  assert.equal((await get(http, "/live")).code, 200);
  hold.release();
  await forward;
  await session.close();
  await remote.close();
  await Promise.all([drained, stopped]);
  await assert.rejects(fetch(`http://${http}/live`));
});

Deno.test("worker: pages refuse other methods and paths, and other machines unless told so", async () => {
  await using worker = await startWorkerServer({
    expert: new AffineExpert(),
    listen,
    http: listen,
  });
  await worker.ready;
  const page = `http://${worker.httpAddress}`;
  const posted = await fetch(`${page}/ready`, { method: "POST", body: "x" });
  assert.equal(posted.status, 405);
  assert.match(await posted.text(), /current value is POST/);
  const missing = await get(worker.httpAddress, "/metric");
  assert.equal(missing.code, 404);
  assert.match(missing.body.error, /\/live, \/ready, \/status, \/metrics/);
  assert.equal((await get(worker.httpAddress, "/ready")).code, 200);
  await assert.rejects(
    startWorkerServer({ expert: new AffineExpert(), listen, http: "0.0.0.0:0" }),
    (error) =>
      error instanceof UsageError &&
      /0\.0\.0\.0:0 needs --tls-cert .* and --token-file/.test(error.message),
  );
  // A port that is taken: the worker does not stay half open.
  await assert.rejects(
    startWorkerServer({ expert: new AffineExpert(), listen, http: worker.httpAddress! }),
    /Cannot listen on 127\.0\.0\.1:\d+.*--http/,
  );
});

Deno.test("worker: figures need a token of role metrics, over TLS; probes need none", async () => {
  const { worker: pair, authority } = await testCerts();
  const tokens = [
    { role: "metrics", secret: "metrics-0123456789" },
    { role: "client", secret: "client-0123456789" },
    { role: "admin", secret: "admin-0123456789" },
  ] as const;
  const guard = new TokenGuard(tokens);
  const security = { tls: { pair }, guard };
  const expert = new AffineExpert();
  // TLS and tokens open the port of calls and this one to others.
  await using worker = await startWorkerServer({ expert, listen, http: "0.0.0.0:0", security });
  await worker.ready;
  assert.match(worker.httpUrl!, /^https:/);
  using client = Deno.createHttpClient({ caCerts: [authority.cert] });
  const ask = async (path: string, token?: string) => {
    const url = `${worker.httpUrl!.replace("0.0.0.0", "127.0.0.1")}${path}`;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(url, { client, headers });
    return { code: response.status, text: await response.text() };
  };
  assert.equal((await ask("/live")).code, 200);
  assert.equal((await ask("/ready")).code, 200);
  for (const path of ["/metrics", "/status"]) {
    const none = await ask(path);
    assert.equal(none.code, 401);
    assert.match(
      none.text,
      /needs a token: give one of role metrics .*Authorization: Bearer TOKEN/,
    );
    assert.equal((await ask(path, "wrong-0123456789")).code, 401);
    const other = await ask(path, tokens[1].secret);
    assert.equal(other.code, 403);
    assert.match(other.text, /needs a token of role metrics: this one has role client/);
    assert.equal((await ask(path, tokens[0].secret)).code, 200);
    assert.equal((await ask(path, tokens[2].secret)).code, 200);
  }
  for (const part of [{ tls: { pair }, guard: new TokenGuard([]) }, { guard }]) {
    const opening = startWorkerServer({ expert, listen, http: "0.0.0.0:0", security: part });
    await assert.rejects(opening, { name: "UsageError", message: /needs --t[a-z-]+ .*--insecure/ });
  }
});
