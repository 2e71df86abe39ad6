import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, isIP } from "node:net";
import { checkServerIdentity, connect, createServer, type PeerCertificate } from "node:tls";
import { makeCerts } from "../../../coordinator/certs/make_certs.ts";
import { readTlsFiles } from "../../../shared/security/tls_files.ts";
import { readTokens } from "../../../shared/security/token_file.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const refuse = (text: string) => assert.fail(text);

Deno.test("makeCerts() makes files that both ends take, for the hosts that were named", async () => {
  await using folder = await tempFolder();
  const dir = folder.join("certs");
  const { files } = await makeCerts(dir, { hosts: ["gpu-1", "10.0.0.5"], days: 3 });
  for (const name of files) {
    assert.equal((await stat(`${dir}/${name}`)).mode & 0o777, 0o600, name);
  }
  const tlsCa = `${dir}/ca.pem`;
  const authority = new X509Certificate(await readFile(tlsCa, "utf8"));
  for (const role of ["worker", "coordinator"]) {
    const paths = { tlsCert: `${dir}/${role}.pem`, tlsKey: `${dir}/${role}.key`, tlsCa };
    const { pair } = (await readTlsFiles(paths, refuse))!;
    const certificate = new X509Certificate(pair!.cert);
    assert.ok(certificate.verify(authority.publicKey));
    const isFor = (host: string) =>
      (isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host)) !== undefined;
    const hosts = ["localhost", "127.0.0.1", "::1", "gpu-1", "10.0.0.5", "gpu-2"].filter(isFor);
    const remote = role === "worker" ? ["gpu-1", "10.0.0.5"] : [];
    assert.deepEqual(hosts, ["localhost", "127.0.0.1", "::1", ...remote]);
    const days = (certificate.validToDate.getTime() - Date.now()) / 86_400_000;
    assert.ok(days > 2.9 && days <= 3, String(days));
  }
  const tokens = await readTokens({ tokenFile: `${dir}/tokens` }, refuse);
  for (const { role, secret } of tokens) {
    assert.equal(await readFile(`${dir}/${role}.token`, "utf8"), `${secret}\n`);
  }
  assert.equal(new Set(tokens.map(({ secret }) => secret)).size, 3);
});

Deno.test("makeCerts() overwrites nothing, and refuses what is no host before it writes", async () => {
  await using folder = await tempFolder();
  await writeFile(folder.join("worker.key"), "mine");
  await assert.rejects(makeCerts(folder.path, { hosts: [], days: 1 }), {
    name: "UsageError",
    message: /worker\.key" is there already/,
  });
  const left = async () =>
    (await Array.fromAsync(Deno.readDir(folder.path))).map(({ name }) => name);
  assert.deepEqual(await left(), ["worker.key"]);
  await assert.rejects(makeCerts(folder.path, { hosts: ["no host"], days: 1 }), {
    message: /--host must be names and IP addresses: current value is "no host"/,
  });
  assert.deepEqual(await left(), ["worker.key"]);
});

Deno.test("makeCerts() makes a certificate for all replicas of an expert in Kubernetes", async () => {
  await using folder = await tempFolder();
  const hosts = ["*.worker-photo.tutti.svc.cluster.local"];
  await makeCerts(folder.path, { hosts, days: 1 });
  const pem = (name: string) => readFile(folder.join(name), "utf8");
  const ca = await pem("ca.pem");
  const server = createServer({ cert: await pem("worker.pem"), key: await pem("worker.key") });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  /** As a channel to a worker of this name does it, without a server for names. */
  const handshake = (servername: string) =>
    new Promise<boolean>((resolve) => {
      const check = (_: string, certificate: PeerCertificate) =>
        checkServerIdentity(servername, certificate);
      const socket = connect({
        ...{ host: "127.0.0.1", port, ca, servername, checkServerIdentity: check },
      });
      const end = (isTaken: boolean) => {
        resolve(isTaken);
        socket.destroy();
      };
      socket.on("secureConnect", () => end(socket.authorized));
      socket.on("error", () => end(false));
    });
  assert.ok(await handshake("worker-photo-0.worker-photo.tutti.svc.cluster.local"));
  assert.ok(!await handshake("worker-anime-0.worker-anime.tutti.svc.cluster.local"));
  await new Promise((resolve) => server.close(resolve));
});
