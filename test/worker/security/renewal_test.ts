import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import {
  credentialsFor,
  renewCredentials,
  useCredentials,
} from "../../../coordinator/cluster/credentials.ts";
import { connectExpert } from "../../../coordinator/cluster/remote_expert.ts";
import { checkHealth } from "../../../coordinator/cluster/worker_status.ts";
import type { KeyPair } from "../../../shared/security/tls_files.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { INTERVAL_MS, RenewedWorker } from "../../support/renewed_worker.ts";
import { eventually } from "../../support/serve_expert.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { testCerts, VALID } from "../../support/test_certs.ts";

const { authority, stranger, worker: first, coordinator } = await testCerts();
const ca = authority.cert;

const issue = () => authority.issue("worker", ["localhost", "127.0.0.1"], VALID);

function onEachPort({ cert }: KeyPair): string[] {
  return Array(3).fill(new X509Certificate(cert).serialNumber);
}

/** A session on the tcp plane, which computes whenever it is asked. */
async function openSession(address: string) {
  const expert = new AffineExpert();
  const remote = await connectExpert(address, { transport: { plane: "tcp" } });
  const config = await sessionConfig(remote);
  const session = await remote.openSession(config);
  const hiddenStates = latentsFor(expert.description, config);
  const { blocks } = expert.description;
  return {
    async computes(): Promise<void> {
      const range = { stepIndex: 0, first: blocks[0]!.id, last: blocks.at(-1)!.id };
      await session.forward({ ...range, hiddenStates });
      assert.equal(session.plane, "tcp");
    },
    async [Symbol.asyncDispose]() {
      await session.close();
      await remote.close();
    },
  };
}

Deno.test("a worker shows a renewed certificate on every port, and a session goes on", async () => {
  await using folder = await tempFolder();
  await using worker = await RenewedWorker.start(folder, first, ca);
  using _ = useCredentials({ tls: { ca, pair: coordinator } });
  await using session = await openSession(worker.address);
  await session.computes();
  assert.deepEqual(await worker.serials(coordinator), onEachPort(first));
  for (const pair of [await issue(), await issue()]) {
    worker.told.length = 0;
    await worker.write(pair, ca);
    await eventually(() => worker.told.length > 0);
    assert.deepEqual(worker.told, [
      `New connections use what is new in ${worker.paths.tlsCert} and ${worker.paths.tlsCa}`,
    ]);
    assert.deepEqual(await worker.serials(coordinator), onEachPort(pair));
    await session.computes();
    await using another = await openSession(worker.address);
    await another.computes();
  }
});

Deno.test("files that cannot be used change nothing, and one line says which it is", async () => {
  await using folder = await tempFolder();
  await using worker = await RenewedWorker.start(folder, first, ca);
  using _ = useCredentials({ tls: { ca, pair: coordinator } });
  await using session = await openSession(worker.address);
  const second = await issue();
  const bad: [KeyPair, string, RegExp][] = [
    [
      { ...second, cert: "half a certif" },
      ca,
      /^--tls-cert ".*cert" cannot be used: it must be PEM/,
    ],
    [
      { ...second, key: first.key },
      ca,
      /^--tls-key ".*key" .*and is another one's\. What was read/,
    ],
    [second, "", /^--tls-ca ".*ca" cannot be used: .*\. What was read before stays in use$/],
  ];
  for (const [index, [pair, authorities, message]] of bad.entries()) {
    await worker.write(pair, authorities);
    await eventually(() => worker.told.length > index);
    assert.match(worker.told[index]!, message);
    assert.deepEqual(await worker.serials(coordinator), onEachPort(first));
    await session.computes();
  }
  await worker.write(second, ca);
  await eventually(() => worker.told.at(-1)!.startsWith("New connections use what is new"));
  assert.equal(worker.told.length, bad.length + 1, "each was told once");
  assert.deepEqual(await worker.serials(coordinator), onEachPort(second));
});

Deno.test("a renewed authority decides about new clients, whose own certificate may be renewed, too", async () => {
  await using folder = await tempFolder();
  await using worker = await RenewedWorker.start(folder, first, ca);
  const paths = {
    tlsCert: folder.join("own"),
    tlsKey: folder.join("own.key"),
    tlsCa: folder.join("roots"),
  };
  const write = async ({ cert, key }: KeyPair) => {
    await Deno.writeTextFile(paths.tlsCert, cert);
    await Deno.writeTextFile(paths.tlsKey, key, { mode: 0o600 });
    await Deno.writeTextFile(paths.tlsCa, ca);
  };
  await write(coordinator);
  using _ = useCredentials({ tls: { ca, pair: coordinator } });
  using _renewal = renewCredentials(paths, { intervalMs: INTERVAL_MS });
  assert.equal(await checkHealth(worker.address), "SERVING");
  await worker.write(first, stranger.cert);
  await eventually(() => worker.told.length > 0);
  await assert.rejects(checkHealth(worker.address), /refuses this side's certificate/);
  const renewed = await stranger.issue("coordinator", ["localhost"], VALID);
  await write(renewed);
  await eventually(() => credentialsFor(worker.address).tls?.pair?.cert === renewed.cert);
  assert.equal(await checkHealth(worker.address), "SERVING");
});
