import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parseResults } from "../../coordinator/bench/parse_results.ts";
import { BENCH_TABLES } from "../../coordinator/bench/bench_tables.ts";
import { isAvailable } from "../support/net_namespace.ts";
import { testOnNetwork } from "../support/on_network.ts";
import { run } from "../support/run_program.ts";
import { choiceName, CHOICES } from "./transport_choice.ts";

const PROGRAM = fileURLToPath(new URL("network_bench.ts", import.meta.url));

function start(args: readonly string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", PROGRAM, "--model", "zoo", "--size", "64", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Namespaces are named after the process that made them. */
async function hasNetwork(pid: number): Promise<boolean> {
  return (await run("ip", ["netns", "list"])).includes(`tutti-${pid}-`);
}

testOnNetwork(
  "bench:network has a line for each choice over a delayed link, and leaves nothing",
  async () => {
    const child = start(["--steps", "1", "--links", "1gbe", "--json"]);
    const { code, stdout, stderr } = await child.output();
    const out = new TextDecoder().decode(stdout);
    assert.equal(code, 0, out + new TextDecoder().decode(stderr));
    assert.equal(await hasNetwork(child.pid), false);
    const results = parseResults(out, "bench:network");
    const [send, receive, roundTrip, ...figures] = results;
    assert.ok(send!.value > 0 && receive!.value > 0);
    // The proxies stand between: half a millisecond each way.
    assert.ok(roundTrip!.value >= 1, `${roundTrip!.value}`);
    const steps = figures.filter(({ conditions }) => conditions !== undefined);
    assert.deepEqual(
      steps.map(({ name }) => name),
      CHOICES.map((choice) => `network.1gbe.${choiceName(choice)}`),
    );
    assert.ok(steps.every(({ value }) => value > 0), out);
    assert.equal(steps[0]!.conditions!.roundTrips, 25);
    const rows = BENCH_TABLES.network!.rows(results);
    assert.deepEqual(
      rows.map((row) => row.slice(0, 4).join(".")),
      CHOICES.map((choice) => `1gbe.${choiceName(choice)}`),
    );
    assert.ok(rows.flat().every((cell) => cell !== ""), String(rows));
  },
);

testOnNetwork("bench:network that is stopped removes its network", async () => {
  const child = start(["--steps", "1000", "--links", "10gbe"]);
  const reader = child.stdout.getReader();
  await reader.read(); // The link was measured: everything runs.
  assert.equal(await hasNetwork(child.pid), true);
  child.kill("SIGTERM");
  const [{ code }, errors] = await Promise.all([child.status, new Response(child.stderr).text()]);
  await reader.cancel();
  assert.deepEqual([code, errors], [130, "error: The operation was cancelled\n"]);
  assert.equal(await hasNetwork(child.pid), false);
});

Deno.test("bench:network refuses a link that it does not know", async () => {
  const { code, stderr } = await start(["--links", "moon"]).output();
  const { reason } = { reason: "", ...await isAvailable() };
  assert.equal(code, reason === "" ? 2 : 1);
  assert.match(
    new TextDecoder().decode(stderr),
    reason === ""
      ? /--links must be among 10gbe, 1gbe, wan: current value is "moon"/
      : /No network/,
  );
});
