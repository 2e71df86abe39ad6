import assert from "node:assert/strict";
import { type Credentials, useCredentials } from "../../../coordinator/cluster/credentials.ts";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { checkHealth, readWorkerStatus } from "../../../coordinator/cluster/worker_status.ts";
import type { KeyPair } from "../../../shared/security/tls_files.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";
import type { WorkerTls } from "../../../worker/security/worker_security.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { EXPIRED, testCerts, VALID } from "../../support/test_certs.ts";

const expert = new AffineExpert();
const { authority, stranger, worker, coordinator } = await testCerts();
const ca = authority.cert;

/** A refusal comes by itself, not when the connection's deadline passes: one that did would hang here. */
const NEVER_MS = 3_600_000;

async function serve(tls?: WorkerTls) {
  const server = await startWorkerServer({
    expert,
    listen: "127.0.0.1:0",
    ...(tls && { security: { tls, guard: new TokenGuard([]) } }),
  });
  await server.ready;
  return server;
}

/** Computes a range over a session on every plane. */
async function assertComputes(address: string, credentials: Credentials): Promise<void> {
  using _ = useCredentials(credentials);
  for (const plane of ["tcp", "unix", "shm", "grpc"] as const) {
    const remote = await connectExpert(address, { transport: { plane } });
    const config = await sessionConfig(remote);
    const session = await remote.openSession(config);
    const hiddenStates = latentsFor(expert.description, config);
    const { blocks } = expert.description;
    const range = { stepIndex: 0, first: blocks[0]!.id, last: blocks.at(-1)!.id };
    const result = await session.forward({ ...range, hiddenStates });
    assert.equal(session.plane, plane);
    const here = await expert.openSession(config);
    assert.deepEqual(
      result.hiddenStates,
      (await here.forward({ ...range, hiddenStates })).hiddenStates,
    );
    await here.close();
    await session.close();
    await remote.close();
  }
}

async function assertRefused(address: string, credentials: Credentials, message: RegExp) {
  using _ = useCredentials(credentials);
  const connect = () => connectExpert(address, { connectTimeoutMs: NEVER_MS });
  for (const ask of [connect, () => readWorkerStatus(address)]) {
    await assert.rejects(ask, (error: Error) => {
      assert.match(error.message, message);
      assert.ok(error.message.includes(address));
      return true;
    });
  }
}

const tlsOf = (ca: string, pair?: KeyPair): Credentials => ({ tls: { ca, ...(pair && { pair }) } });

Deno.test("worker with TLS serves those who know its authority, on every plane", async () => {
  await using server = await serve({ pair: worker });
  const good = tlsOf(ca);
  await assertComputes(server.address, good);
  await assertRefused(
    server.address,
    {},
    /has TLS, and this side speaks plain text: give --tls-ca FILE with the authority of its cert/,
  );
  await assertRefused(
    server.address,
    tlsOf(stranger.cert),
    /a certificate that "the cluster's authority" signed, which --tls-ca does not vouch for/,
  );
  await assertComputes(server.address, good);
});

Deno.test("worker with --tls-ca serves those with a certificate of that authority", async () => {
  await using server = await serve({ pair: worker, clientCa: ca });
  const good = tlsOf(ca, coordinator);
  await assertComputes(server.address, good);
  const none = /asks for a certificate, and this side has none: give --tls-cert and --tls-key/;
  await assertRefused(server.address, tlsOf(ca), none);
  const plain =
    /has TLS, and this side speaks plain text: .* --tls-cert and --tls-key, for it asks/;
  await assertRefused(server.address, {}, plain);
  const others = await stranger.issue("coordinator", ["localhost"], VALID);
  const late = await authority.issue("coordinator", ["localhost"], EXPIRED);
  // A worker's own is for servers: who has it is no client of other workers.
  for (const pair of [others, late, worker]) {
    await assertRefused(server.address, tlsOf(ca, pair), /refuses this side's certificate/);
  }
  using _ = useCredentials(good);
  assert.equal(await checkHealth(server.address), "SERVING");
  await assertComputes(server.address, good);
});

Deno.test("a certificate for another host, or an old one, is refused with what is wrong with it", async () => {
  const elsewhere = await authority.issue("worker", ["gpu-7.example"], VALID);
  const late = await authority.issue("worker", ["127.0.0.1"], EXPIRED);
  const good = tlsOf(ca);
  {
    await using server = await serve({ pair: elsewhere });
    const message = /shows a certificate for DNS:gpu-7\.example, not for this address/;
    await assertRefused(server.address, good, message);
  }
  {
    await using server = await serve({ pair: late });
    await assertRefused(server.address, good, /shows a certificate that expired at .*: renew it/);
  }
  await using server = await serve({ pair: worker });
  await assertComputes(server.address, good);
});

Deno.test("a worker without TLS is not called by those who want it", async () => {
  await using server = await serve();
  await assertRefused(
    server.address,
    tlsOf(ca, coordinator),
    /speaks no TLS: start it with --tls-cert and --tls-key, or leave --tls-ca out here/,
  );
  await assertComputes(server.address, {});
});

Deno.test("a port that hangs up on a handshake may be full, or speak no TLS", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const hangUp = (async () => {
    for await (const conn of listener) conn.close();
  })();
  const message = /hung up during the TLS handshake: it has no room for a connection now, or/;
  await assertRefused(`127.0.0.1:${port}`, tlsOf(ca, coordinator), message);
  listener.close();
  await hangUp;
});
