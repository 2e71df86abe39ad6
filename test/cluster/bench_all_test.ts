/** Every benchmark at toy size, as a user runs them: that they run, and what form their results have. @module */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { parseResults } from "../../coordinator/bench/parse_results.ts";
import { BENCHES } from "../../coordinator/cli/bench/benches.ts";
import { testTutti } from "../support/run_tutti.ts";
import { eventually } from "../support/serve_expert.ts";

/** About 45 s on two cores that have nothing else to do. */
const TIMEOUT_MS = 300_000;
/** Whose tables are made from figures of every run. */
const TABLES = [
  ...["overhead", "latency", "scale", "block", "step", "load"],
  ...["plane", "codec", "wire", "steady", "samplers"],
];

testTutti(
  "bench all --toy runs every benchmark, and a page of tables is written from it",
  async (home, t) => {
    await Deno.mkdir(home.file("tmp"));
    const env = { TMPDIR: home.file("tmp") };
    const options = { env, timeoutMs: TIMEOUT_MS };
    const all = ["bench", "all", "--toy", "--out", "results.jsonl"];
    const { stdout } = await home.expect(0, [...all, "--json"], options);
    assert.equal(stdout, await Deno.readTextFile(home.file("results.jsonl")));
    const results = parseResults(stdout, "bench all");

    await t.step("each has results, of names that nobody else has", () => {
      const benches = new Set(results.map(({ bench }) => bench));
      assert.deepEqual([...benches], BENCHES.map(({ name }) => name));
      const names = results.map(({ bench, name }) => `${bench} ${name}`);
      assert.equal(new Set(names).size, names.length);
    });

    await t.step("the comparisons tell both sides, and where a step went", () => {
      const byName = new Map(results.map((result) => [result.name, result]));
      for (const name of ["overhead.toy-64.n2", "latency.toy-64.n2", "block.toy-64.all"]) {
        const { unit, pair, value } = byName.get(name)!;
        assert.equal(unit, "ratio");
        assert.ok(value > 0 && pair!.a.value > 0 && pair!.b.value > 0);
      }
      for (const part of ["compute", "queue", "wire", "aggregate", "sent", "received"]) {
        assert.ok(byName.has(`latency.toy-64.n2.cluster.${part}`), part);
        assert.ok(byName.has(`scale.toy-64.n2.${part}`), part);
      }
    });

    await t.step("a smaller dtype takes fewer bytes and makes an error", () => {
      const value = (name: string) => results.find((result) => result.name === name)!.value;
      assert.ok(value("wire.int8.bytes") < value("wire.f32.bytes") / 3);
      for (const part of ["latents", "block.IN00", "block.OUT10"]) {
        const error = value(`wire.int8.${part}`);
        assert.ok(error > 1e-4 && error < 0.1, `${part}: ${error}`);
      }
      assert.ok(value("wire.int8.psnr") > 20);
      assert.ok(!results.some(({ name }) => name === "wire.int8.block.OUT11"));
    });

    await t.step("sessions leave nothing open on any plane", () => {
      for (const part of ["descriptors", "regions"]) {
        const kept = results.filter(({ name }) => /^steady\./.test(name) && name.endsWith(part));
        assert.ok(kept.length > 0 && kept.every(({ value }) => value <= 0), part);
      }
    });

    await t.step("no file is left, and none is overwritten", async () => {
      assert.deepEqual(await readdir(home.file("tmp")), []);
      await home.expect(1, all, options);
    });

    await t.step("bench docs writes tables as the formatter wants them", async () => {
      const markers = TABLES.map((name) => `<!-- bench:${name} -->\n\n<!-- /bench:${name} -->\n`);
      await Deno.writeTextFile(home.file("page.md"), `# Title\n\n${markers.join("\n")}`);
      const docs = ["bench", "docs", "results.jsonl", "--page", "page.md"];
      const written = await home.expect(0, docs);
      assert.equal(written.stdout, `page.md: ${TABLES.join(", ")}\n`);
      const text = await Deno.readTextFile(home.file("page.md"));
      assert.match(text, /^\| toy-64\.n2 +\| +[0-9.]+ m?s \|/m);
      assert.doesNotMatch(text, /undefined|NaN/);
      await home.expect(0, docs);
      assert.equal(await Deno.readTextFile(home.file("page.md")), text);
      const { stderr } = await home.expect(4, [...docs.slice(0, 3), "--page", "results.jsonl"]);
      assert.match(stderr, /must have a table that the results fill: it has no marker/);
    });
  },
);

testTutti("bench all cancelled with Ctrl-C: exit code 130, and nothing is left", async (home) => {
  await Deno.mkdir(home.file("tmp"));
  const running = home.start(["bench", "all"], { env: { TMPDIR: home.file("tmp") } });
  await running.says(/Benchmarks/);
  // A process of its own that writes gigabytes of weights.
  await eventually(async () => (await readdir(home.file("tmp"))).length > 0);
  running.kill("SIGINT");
  assert.equal((await running.result).code, 130);
  assert.deepEqual(await readdir(home.file("tmp")), []);
});

testTutti("bench without a subcommand tells what there is", async (home) => {
  const { stdout } = await home.expect(0, ["bench"]);
  for (const { name } of BENCHES) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
});
