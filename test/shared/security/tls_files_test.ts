import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import "reflect-metadata";
import { PemConverter, X509CertificateGenerator } from "@peculiar/x509";
import { readTlsFiles } from "../../../shared/security/tls_files.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { EXPIRED, testCerts, VALID } from "../../support/test_certs.ts";

const quiet = () => {};

/** Writes a file that only its owner can read. */
async function put(folder: TempFolder, name: string, text: string): Promise<string> {
  const path = folder.join(name);
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

Deno.test("readTlsFiles() reads a certificate with its key, and an authority", async () => {
  await using folder = await tempFolder();
  const { authority, worker } = await testCerts();
  const tlsCert = await put(folder, "worker.pem", worker.cert);
  const tlsKey = await put(folder, "worker.key", worker.key);
  const tlsCa = await put(folder, "ca.pem", authority.cert);
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  assert.deepEqual(await readTlsFiles({ tlsCert, tlsKey, tlsCa }, warn), {
    pair: worker,
    ca: authority.cert,
  });
  assert.deepEqual(await readTlsFiles({ tlsCa }, warn), { ca: authority.cert });
  assert.equal(await readTlsFiles({}, warn), undefined);
  assert.deepEqual(warnings, []);
  await chmod(tlsKey, 0o640);
  await readTlsFiles({ tlsCert, tlsKey }, warn);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /worker\.key" holds a secret and has mode 640/);
  await assert.rejects(readTlsFiles({ tlsCert }, warn), {
    name: "UsageError",
    message: /^--tls-cert needs --tls-key/,
  });
});

/** RSA of 1024 bits, which all that decodes keys reads. */
async function weakPair(pem: (text: string) => Promise<string>) {
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const keys = await crypto.subtle.generateKey(
    { ...algorithm, modulusLength: 1024, publicExponent: Uint8Array.of(1, 0, 1) },
    true,
    ["sign", "verify"],
  );
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ keys, signingAlgorithm: algorithm, name: "CN=weak" },
    ...{ notBefore: VALID.from, notAfter: VALID.to },
  });
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    tlsCert: await pem(certificate.toString("pem")),
    tlsKey: await pem(PemConverter.encode(key, "PRIVATE KEY")),
  };
}

Deno.test("readTlsFiles() says of each bad file what is wrong with it, and quotes no key", async () => {
  await using folder = await tempFolder();
  const { authority, worker, coordinator } = await testCerts();
  const expired = await authority.issue("late", ["localhost"], EXPIRED);
  const oldAuthority = await (await import("../../../coordinator/certs/authority.ts")).Authority
    .create("old", EXPIRED);
  const early = await authority.issue("early", ["localhost"], {
    from: new Date(Date.now() + 1e7),
    to: new Date(Date.now() + 2e7),
  });
  const body = worker.key.split("\n")[1]!;
  const cut = worker.key.replace(body, body.slice(0, 20));
  const pem = (text: string) => put(folder, `${crypto.randomUUID()}.pem`, text);
  const good = { tlsCert: await pem(worker.cert), tlsKey: await pem(worker.key) };
  const cases: [Parameters<typeof readTlsFiles>[0], RegExp][] = [
    [{ ...good, tlsCert: folder.join("gone.pem") }, /^--tls-cert ".*gone\.pem" .*no such file$/],
    [{ ...good, tlsCert: folder.path }, /^--tls-cert .* it must be a file: it is a folder$/],
    [{ ...good, tlsCert: await pem("hello") }, /^--tls-cert .* must be PEM with "-----BEGIN CERT/],
    [{ ...good, tlsCert: await pem(worker.cert.replace("MII", "AAA")) }, /cannot be decoded$/],
    [{ ...good, tlsKey: await pem("hello") }, /^--tls-key .* must be PEM with "-----BEGIN PRIVATE/],
    [{ ...good, tlsKey: await pem(cut) }, /^--tls-key .* its key cannot be decoded$/],
    [{ ...good, tlsKey: await pem(coordinator.key) }, /must be the key of the certificate in/],
    [
      { tlsCert: await pem(expired.cert), tlsKey: await pem(expired.key) },
      /the certificate of "CN=late" expired at .*Z: renew it$/,
    ],
    [
      { tlsCert: await pem(early.cert), tlsKey: await pem(early.key) },
      /the certificate of "CN=early" is not valid before .*Z$/,
    ],
    [await weakPair(pem), /^--tls-key .* TLS takes no key of its kind/],
    [{ tlsCa: await pem(worker.cert) }, /must be the certificate of an authority/],
    [{ tlsCa: await pem(oldAuthority.cert) }, /^--tls-ca .*"CN=old" expired at/],
  ];
  for (const [paths, message] of cases) {
    await assert.rejects(readTlsFiles(paths, quiet), (error: Error) => {
      assert.equal(error.name, "FormatError");
      assert.match(error.message, message);
      for (let thrown: unknown = error; thrown instanceof Error; thrown = thrown.cause) {
        assert.ok(!String(thrown).includes(body.slice(0, 20)), "the message quotes the key");
      }
      return true;
    });
  }
  assert.ok(await readTlsFiles(good, quiet));
  // A bundle in which one authority is still good will do.
  const fresh = `${oldAuthority.cert}${authority.cert}`;
  assert.ok(await readTlsFiles({ tlsCa: await pem(fresh) }, quiet));
  assert.ok(VALID.to > new Date());
});
