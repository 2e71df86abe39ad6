import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Client, credentials as grpcCredentials, Metadata, status } from "@grpc/grpc-js";
import { type Credentials, useCredentials } from "../../../coordinator/cluster/credentials.ts";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import {
  checkHealth,
  listWorkerSessions,
  readWorkerStatus,
} from "../../../coordinator/cluster/worker_status.ts";
import { WorkerClient } from "../../../coordinator/cluster/worker_client.ts";
import { TokenGuard } from "../../../shared/security/token_guard.ts";
import { startWorkerServer } from "../../../worker/rpc/server.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { testCerts } from "../../support/test_certs.ts";

const expert = new AffineExpert();
const token = (name: string) => `${name}-0123456789abcdef`;
const tokens = [
  { role: "client", secret: token("client") },
  { role: "client", secret: token("rotated") },
  { role: "admin", secret: token("admin") },
  { role: "metrics", secret: token("metrics") },
] as const;

async function serve() {
  const server = await startWorkerServer({
    expert,
    listen: "127.0.0.1:0",
    security: { guard: new TokenGuard(tokens) },
  });
  await server.ready;
  return server;
}

async function computes(address: string): Promise<void> {
  const remote = await connectExpert(address);
  const config = await sessionConfig(remote);
  const session = await remote.openSession(config);
  const first = expert.description.blocks[0]!.id;
  const hiddenStates = latentsFor(expert.description, config);
  await session.forward({ stepIndex: 0, first, last: first, hiddenStates });
  await session.close();
  await remote.close();
}

/** What is allowed to whom; the rest is refused with the code. */
async function allowed(address: string, credentials: Credentials): Promise<Record<string, string>> {
  using _ = useCredentials(credentials);
  const calls = { computes, status: readWorkerStatus, sessions: listWorkerSessions };
  const answers = Object.entries(calls).map(async ([name, call]) => {
    const code = await call(address).then(() => "ok", ({ code }: { code: string }) => code);
    return [name, code];
  });
  return Object.fromEntries(await Promise.all(answers));
}

Deno.test("a worker with tokens lets each role do its part, and health stays open", async () => {
  await using server = await serve();
  const { address } = server;
  const [yes, no, who] = ["ok", "PERMISSION_DENIED", "UNAUTHENTICATED"];
  const ask = (name: string) => allowed(address, { token: token(name) });
  assert.deepEqual(await ask("client"), { computes: yes, status: yes, sessions: no });
  assert.deepEqual(await allowed(address, {}), { computes: who, status: who, sessions: who });
  assert.deepEqual(await ask("rotated"), { computes: yes, status: yes, sessions: no });
  assert.deepEqual(await ask("metrics"), { computes: no, status: yes, sessions: no });
  assert.deepEqual(await ask("wrong"), { computes: who, status: who, sessions: who });
  assert.deepEqual(await ask("admin"), { computes: yes, status: yes, sessions: yes });
  assert.equal(await checkHealth(address), "SERVING");
});

Deno.test("refusals name worker, call and role, and show no token", async () => {
  await using server = await serve();
  const { address } = server;
  const refused = async (credentials: Credentials, ask: () => Promise<unknown>, text: RegExp) => {
    using _ = useCredentials(credentials);
    await assert.rejects(ask, (error: Error) => {
      assert.match(error.message, text);
      assert.ok(error.message.startsWith(`Worker ${address}: `));
      assert.ok(!Deno.inspect(error, { depth: 9 }).includes("0123456789"), "a token is shown");
      return true;
    });
  };
  const connect = () => connectExpert(address);
  await refused({}, connect, /Describe needs a token: give one of role client with --token-file/);
  await refused({ token: token("wrong") }, connect, /and this one is not: compare --token-file/);
  await refused(
    { token: token("client") },
    () => listWorkerSessions(address),
    /ListSessions needs a token of role admin: this one has role client/,
  );
});

Deno.test("reflection needs a token where calls do", async () => {
  await using server = await serve();
  const client = new Client(server.address, grpcCredentials.createInsecure());
  const reflect = (secret?: string) =>
    new Promise<number>((resolve) => {
      const metadata = new Metadata();
      if (secret !== undefined) metadata.set("authorization", `Bearer ${secret}`);
      const raw = (bytes: Buffer) => bytes;
      // ListServices: field 7 with an empty name.
      const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
      const call = client.makeBidiStreamRequest(path, raw, raw, metadata);
      call.on("data", () => {});
      call.on("error", () => {});
      call.on("status", ({ code }: { code: number }) => resolve(code));
      call.write(Buffer.from([0x3a, 0]));
      call.end();
    });
  assert.equal(await reflect(), status.UNAUTHENTICATED);
  assert.equal(await reflect(token("client")), status.OK);
  client.close();
});

Deno.test("a token goes to another host over TLS, or with a word from the user", async () => {
  const { authority } = await testCerts();
  const open = (address: string, credentials: Credentials) => {
    using _ = useCredentials({ token: token("client"), ...credentials });
    new WorkerClient(address).close();
  };
  assert.throws(() => open("10.0.0.5:7070", {}), {
    name: "UsageError",
    message: /^A token for worker 10\.0\.0\.5:7070 needs --tls-ca, or everyone on the way/,
  });
  open("127.0.0.1:7070", {});
  open("10.0.0.5:7070", { isInsecure: true });
  open("10.0.0.5:7070", { tls: { ca: authority.cert } });
});
