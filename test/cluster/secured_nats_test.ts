import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { SUBJECTS } from "../../shared/nats/nats_errors.ts";
import { NatsServer, testWithNats } from "../support/nats_server.ts";
import { TuttiHome } from "../support/run_tutti.ts";
import { textsBelow } from "../support/texts_below.ts";
import { PROMPT, zooPath } from "../support/zoo.ts";

/** On a machine with few cores and other work. */
const TIMEOUT_MS = 300_000;
const AMY = { user: "amy", password: "SECRET-of-amy" };
const BOB = { user: "bob", password: "SECRET-of-bob" };
const WRONG = { user: "amy", password: "SECRET-that-is-wrong" };

const ENSEMBLE = `
name = "one"
vae = "${zooPath("vae")}"
tokenizer = "${zooPath("tokenizer")}"
sabw = "uniform"

[[experts]]
name = "round"
model = "${zooPath("round")}"

[security]
tls_ca = "certs/ca.pem"
tls_cert = "certs/coordinator.pem"
tls_key = "certs/coordinator.key"
token_file = "certs/admin.token"

[security.workers]
tls_cert = "certs/worker.pem"
tls_key = "certs/worker.key"
tls_ca = "certs/ca.pem"
token_file = "certs/tokens"
`;

const REFUSALS = [
  /the NATS server refuses this login\. Give its user and password in the URL/,
  /TLS failed .*\. Give the authority that signed the server's certificate with --nats-ca/,
  /this NATS user may not do that\. Allow it .* for the queue of jobs to tutti\.jobs\.>, /,
  /has TLS, and this side speaks plain text: give --tls-ca FILE/,
];

/** Users who may do what the hint of a refusal says, and no more. */
function authorization(): string {
  const all = [...SUBJECTS.workers, ...SUBJECTS.jobs];
  const users = [{ ...AMY, subjects: all }, { ...BOB, subjects: SUBJECTS.workers }].map(
    ({ user, password, subjects }) =>
      `{ user: ${user}, password: ${password}, ` +
      `permissions: { publish: ${JSON.stringify(subjects)}, subscribe: ${
        JSON.stringify(subjects)
      } } }`,
  );
  return `authorization { users: [${users.join(", ")}] }`;
}

testWithNats(
  "up, ps, submit and a coordinator work over NATS and workers with mTLS and logins, and show no secret",
  async () => {
    const home = await TuttiHome.create();
    try {
      await home.expect(0, ["certs", "certs"]);
      await home.expect(0, ["certs", "strangers"]);
      await writeFile(home.file("one.toml"), ENSEMBLE);
      const read = (name: string) => readFile(home.file("certs", name), "utf8");
      await using server = await NatsServer.start({
        config: authorization(),
        tls: {
          pair: { cert: await read("worker.pem"), key: await read("worker.key") },
          clientCa: await read("ca.pem"),
        },
      });
      const nats = (login: typeof AMY, more: Record<string, string> = {}) => ({
        timeoutMs: TIMEOUT_MS,
        env: {
          TUTTI_DEBUG: "1",
          TUTTI_NATS: server.urlFor(login),
          TUTTI_NATS_CA: "certs/ca.pem",
          TUTTI_NATS_CERT: "certs/coordinator.pem",
          TUTTI_NATS_KEY: "certs/coordinator.key",
          ...more,
        },
      });
      const printed: string[] = [];
      const run = async (code: number, args: readonly string[], options = nats(AMY)) => {
        const { stdout, stderr } = await home.expect(code, args, options);
        printed.push(stdout, stderr);
        return { stdout, stderr };
      };

      await run(0, ["up", "one.toml"]);
      const coordinator = home.start(
        ["coordinator", "--ensemble", "one.toml", "--json", "--out", "out"],
        nats(AMY),
      );
      const args = ["submit", PROMPT, "--ensemble", "one", "--steps", "2", "--wait"];
      const [job] = await Promise.all([run(0, args), coordinator.says(/"event":"ready"/)]);
      assert.match(job.stdout, /\.png \(seed \d+\)/);
      const { stdout: listed } = await run(0, ["ps", "--ensemble", "one.toml", "--json"]);
      assert.match(listed, /"state":"serving","name":"round"/);

      // By name, for which the certificate is good, too.
      const byName = server.urlFor(AMY).replace("127.0.0.1", "localhost");
      const { stdout: jobs } = await run(0, ["jobs"], nats(AMY, { TUTTI_NATS: byName }));
      assert.match(jobs, /done/);
      const [id] = jobs.split("\n")[1]!.split(" ");
      await run(0, ["jobs", id!, "--fetch", "fetched.png"]);
      assert.ok((await readFile(home.file("fetched.png"))).length > 0);

      const refused = await Promise.all([
        run(1, ["jobs"], nats(WRONG)),
        run(1, ["jobs"], nats(AMY, { TUTTI_NATS_CA: "strangers/ca.pem" })),
        run(1, ["submit", PROMPT, "--ensemble", "one"], nats(BOB)),
        run(3, ["ps"]),
      ]);
      for (const [i, pattern] of REFUSALS.entries()) assert.match(refused[i]!.stderr, pattern);

      const titles = (await home.processes()).map(({ args }) => args.join(" "));
      coordinator.kill("SIGTERM");
      const { code, stdout, stderr } = await coordinator.result;
      assert.equal(code, 0, stderr);
      await run(0, ["down", "one.toml"]);
      await home.assertNoProcesses();

      const tokens = (await read("tokens")).trim().split("\n").map((line) => line.split(":")[1]!);
      const keys = await Promise.all(
        ["worker", "coordinator", "ca"].map(async (name) =>
          (await read(`${name}.key`)).split("\n")[1]!
        ),
      );
      const texts = [...printed, stdout, stderr, ...titles, await textsBelow(home.stateFolder)];
      for (const secret of [...tokens, ...keys, AMY.password, BOB.password, WRONG.password]) {
        assert.ok(!texts.some((text) => text.includes(secret)), "a secret was shown");
      }
      assert.ok(titles.some((title) => title.includes("certs/tokens")));
    } finally {
      await home.killProcesses();
      await rm(home.path, { recursive: true });
    }
  },
);
