import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { connectExpert } from "../../coordinator/cluster/remote_expert.ts";
import { checkHealth } from "../../coordinator/cluster/worker_status.ts";
import { latentsFor, sessionConfig } from "../support/expert_inputs.ts";
import { goldenExpert } from "../support/golden_expert.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));

function tuttiWorker(...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", MAIN, "worker", ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** First line of a process's output; the rest is left unread. */
async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    text += value ?? "";
    if (done || text.includes("\n")) break;
  }
  await reader.cancel();
  return text.split("\n")[0]!;
}

/** How a process that stops by itself ended. */
async function ended(child: Deno.ChildProcess) {
  await child.stdin.close();
  const { code, stderr } = await child.output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("tutti worker --json says when it is ready, serves, and stops at SIGTERM with exit code 0", async () => {
  const child = tuttiWorker(
    ...["--model", goldenExpert("a"), "--listen", "127.0.0.1:0", "--json"],
    // Its client is slow to end its session.
    ...["--drain-limit", "1"],
  );
  const { event, address, modelHash, name } = JSON.parse(await firstLine(child));
  assert.deepEqual([event, name], ["ready", "expert-a"]);
  assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
  assert.equal(await checkHealth(address), "SERVING");
  const remote = await connectExpert(address);
  assert.equal(remote.description.modelHash, modelHash);
  assert.equal(JSON.parse(remote.configJson)._class_name, "UNet2DConditionModel");
  const config = await sessionConfig(remote);
  const hiddenStates = latentsFor(remote.description, config);
  const session = await remote.openSession(config);
  await session.forward({ stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates });
  child.kill("SIGTERM");
  await child.stdin.close();
  assert.equal((await child.status).code, 0);
  await child.stderr.cancel();
  await session.close();
  await remote.close();
});

Deno.test("tutti worker tells people where it is, and stops with its standard input if told to", async () => {
  const child = tuttiWorker(
    ...["--model", goldenExpert("a"), "--name", "Ann", "--listen", "127.0.0.1:0"],
    ...[
      "--max-sessions",
      "1",
      "--session-bytes",
      "1000000",
      "--idle-limit",
      "7",
      "--stop-with-stdin",
    ],
  );
  const line = await firstLine(child);
  const address = /^Worker ready at (127\.0\.0\.1:\d+): serving "Ann" \([0-9a-f]{10}\)/.exec(line)
    ?.[1];
  assert.ok(address, line);
  const remote = await connectExpert(address);
  const { maxSessions, sessionBytes, idleLimitSeconds } = remote.limits;
  assert.deepEqual([maxSessions, sessionBytes, idleLimitSeconds], [1, 1_000_000, 7]);
  await remote.close();
  await child.stdin.close();
  assert.equal((await child.status).code, 0);
  await child.stderr.cancel();
});

Deno.test("tutti worker that stops with its standard input is not cut off by the signal that follows", async () => {
  const child = tuttiWorker(
    ...["--model", goldenExpert("a"), "--listen", "127.0.0.1:0", "--json", "--stop-with-stdin"],
  );
  const remote = await connectExpert(JSON.parse(await firstLine(child)).address);
  const session = await remote.openSession(await sessionConfig(remote));
  await child.stdin.close();
  // Its connection stays open for a moment: the worker is about to stop, and has not yet.
  await session.ended;
  child.kill("SIGTERM");
  assert.equal((await child.status).code, 0);
  await child.stderr.cancel();
  await remote.close();
});

Deno.test("tutti worker refuses wrong flags with exit code 2, and bad models with 4", async () => {
  const model = ["--model", goldenExpert("a")];
  const cases: [string[], number, RegExp][] = [
    [[...model, "--listen", "0.0.0.0:0"], 2, /needs --tls-cert and --tls-key, .*--insecure/],
    [[...model, "--listen", "nowhere"], 2, /Address must be HOST:PORT/],
    [[...model, "--lanes", "0"], 2, /--lanes must be a whole number >= 1: current value is "0"/],
    [[...model, "--threads", "two"], 2, /--threads must be a whole number >= 1/],
    [[...model, "--plane-port", "70000"], 2, /--plane-port must be .* 0\.\.65535: .* "70000"/],
    [[...model, "--device", "abacus"], 2, /cpu/],
    [[], 2, /--model/],
    [["--model", "no/such/model"], 4, /no\/such\/model/],
  ];
  await Promise.all(cases.map(async ([args, code, message]) => {
    const result = await ended(tuttiWorker(...args));
    assert.match(result.stderr, message);
    assert.equal(result.code, code, result.stderr);
  }));
});
