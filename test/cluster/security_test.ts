import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { textsBelow } from "../support/texts_below.ts";
import { PROMPT, readPng, zooPath } from "../support/zoo.ts";

const SERVE = ["worker", "--model", zooPath("round"), "--threads", "1", "--listen", "127.0.0.1:0"];
const FILES = ["--vae", zooPath("vae"), "--tokenizer", zooPath("tokenizer")];
/** On a machine with few cores and other work. */
const TIMEOUT_MS = 300_000;
const CA = ["--tls-ca", "certs/ca.pem"];
const CLIENT = [...CA, "--tls-cert", "certs/coordinator.pem", "--tls-key", "certs/coordinator.key"];

async function startWorker(home: TuttiHome, flags: readonly string[]) {
  const worker = home.start([...SERVE, ...flags], { timeoutMs: TIMEOUT_MS });
  const [, address] = await worker.says(/^Worker ready at (127\.0\.0\.1:\d+): serving/m);
  return { worker, address: address! };
}

testTutti(
  "tutti sample over mTLS and tokens draws the bits of plain text, and no secret is shown",
  async (home) => {
    await home.expect(0, ["certs", "certs"]);
    const again = await home.expect(2, ["certs", "certs"]);
    assert.match(again.stderr, /certs\/ca\.pem" is there already/);
    const tokens = await readFile(home.file("certs", "tokens"), "utf8");
    const secrets = tokens.trim().split("\n").map((line) => line.split(":")[1]!);
    const wrong = "a-wrong-token-0123456789";
    const keys = await Promise.all(
      ["worker", "coordinator", "ca"].map(async (name) =>
        (await readFile(home.file("certs", `${name}.key`), "utf8")).split("\n")[1]!
      ),
    );
    await Deno.writeTextFile(home.file("wrong.token"), wrong, { mode: 0o600 });

    const [plain, secure] = await Promise.all([
      startWorker(home, []),
      startWorker(home, [
        ...[...CA, "--tls-cert", "certs/worker.pem", "--tls-key", "certs/worker.key"],
        ...["--token-file", "certs/tokens", "--log", "json", "--log-level", "debug"],
      ]),
    ]);
    const printed: string[] = [];
    const sample = async (code: number, address: string, ...flags: string[]) => {
      const args = ["sample", PROMPT, "--steps", "2", "--seed", "3", "--plane", "tcp", "--workers"];
      const { stdout, stderr } = await home.expect(code, [
        ...[...args, address, ...FILES, "--out", "picture.png", ...flags],
      ], { env: { TUTTI_DEBUG: "1" }, timeoutMs: TIMEOUT_MS });
      printed.push(stdout, stderr);
      return stderr;
    };
    await sample(0, plain.address);
    const expected = await readPng(home.file("picture.png"));
    await Deno.remove(home.file("picture.png"));

    const refused = await Promise.all([
      sample(3, secure.address),
      sample(1, secure.address, ...CLIENT, "--token-file", "wrong.token"),
      sample(1, secure.address, ...CLIENT, "--token-file", "certs/metrics.token"),
      sample(4, plain.address, "--tls-ca", "certs/gone.pem"),
    ]);
    const patterns = [
      /has TLS, and this side speaks plain text: give --tls-ca FILE/,
      /needs a token that is known here, and this one is not/,
      /needs a token of role client: this one has role metrics/,
      /--tls-ca "certs\/gone\.pem" cannot be used: there is no such file/,
    ];
    for (const [i, pattern] of patterns.entries()) {
      assert.match(refused[i]!, pattern);
    }

    const titles = (await home.processes()).map(({ args }) => args.join(" ")).join("\n");
    await sample(0, secure.address, ...CLIENT, "--token-file", "certs/client.token");
    assert.deepEqual((await readPng(home.file("picture.png"))).rgb, expected.rgb);

    for (const { worker } of [plain, secure]) worker.kill("SIGTERM");
    for (const { worker } of [plain, secure]) {
      const { code, stdout, stderr } = await worker.result;
      assert.equal(code, 0, stderr);
      printed.push(stdout, stderr);
    }
    const seen = [...printed, titles, await textsBelow(home.stateFolder)].join("\n");
    assert.match(seen, /--token-file/);
    assert.match(seen, /"level":"debug".*"message":"call"/);
    assert.match(seen, /"message":"session closed"/);
    assert.ok(!printed.join("\n").includes("green heart"), "a prompt was shown");
    for (const secret of [...secrets, wrong, ...keys]) {
      assert.ok(!seen.includes(secret), "a secret was shown");
    }
  },
);

testTutti(
  "tutti worker takes renewed certificates while it runs, and says what it cannot use",
  async (home) => {
    await home.expect(0, ["certs", "certs"]);
    await home.expect(0, ["certs", "renewed"]);
    const flags = ["--tls-cert", "certs/worker.pem", "--tls-key", "certs/worker.key"];
    const { worker, address } = await startWorker(home, [...CA, ...flags]);
    const ask = (code: number, folder: string) => {
      const own = [
        "--tls-cert",
        `${folder}/coordinator.pem`,
        "--tls-key",
        `${folder}/coordinator.key`,
      ];
      const ps = ["ps", "--workers", address, "--tls-ca", `${folder}/ca.pem`, ...own];
      return home.expect(code, ps, { timeoutMs: TIMEOUT_MS });
    };
    await ask(0, "certs");

    const key = await readFile(home.file("certs", "worker.key"));
    await Deno.writeTextFile(home.file("certs", "worker.key"), "half a key");
    await worker.says(/warning.*--tls-key "certs\/worker\.key" cannot be used: .* stays in use$/m);
    await ask(0, "certs");
    await Deno.writeFile(home.file("certs", "worker.key"), key);

    for (const name of ["worker.pem", "worker.key", "ca.pem"]) {
      await Deno.copyFile(home.file("renewed", name), home.file("certs", name));
    }
    await worker.says(/New connections use what is new in certs\/worker\.pem and certs\/ca\.pem/);
    await ask(0, "renewed");
    worker.kill("SIGTERM");
    const { code, stderr } = await worker.result;
    assert.equal(code, 0, stderr);
    assert.equal(stderr.match(/cannot be used/g)?.length, 1, stderr);
  },
);

testTutti("every command that calls workers takes credentials for them", async (home) => {
  const names = ["sample", "coordinator", "train", "screen", "compare", "ps", "top"];
  const helps = await Promise.all(names.map((name) => home.expect(0, [name, "--help", "all"])));
  for (const { stdout } of helps) {
    // Its first line names the command.
    assert.match(stdout, /--workers </);
    assert.match(stdout, /--tls-ca <file>/);
    assert.match(stdout, /--nats-ca <file>/);
  }
});

testTutti("bench wire measures workers that want a certificate and a token", async (home) => {
  await home.expect(0, ["certs", "certs"]);
  const { worker, address } = await startWorker(home, [
    ...[...CA, "--tls-cert", "certs/worker.pem", "--tls-key", "certs/worker.key"],
    ...["--token-file", "certs/tokens"],
  ]);
  const bench = (code: number, ...flags: readonly string[]) =>
    home.expect(code, [
      ...["bench", "wire", "--workers", address, ...FILES, "--steps", "1", "--dtypes", "int8"],
      ...["--json", ...flags],
    ], { timeoutMs: TIMEOUT_MS });
  const { stdout } = await bench(0, ...CLIENT, "--token-file", "certs/client.token");
  assert.match(stdout, /"name":"wire\.int8\.psnr"/);
  await bench(3);
  worker.kill("SIGTERM");
  await worker.result;
});
