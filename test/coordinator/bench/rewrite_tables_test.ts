import assert from "node:assert/strict";
import type { BenchFigure, BenchResult } from "../../../coordinator/bench/bench_result.ts";
import { BENCH_TABLES } from "../../../coordinator/bench/bench_tables.ts";
import { findTables, rewriteTables } from "../../../coordinator/bench/rewrite_tables.ts";
import { FormatError } from "../../../shared/errors.ts";
import { BENCHMARKS_PAGE } from "../../../shared/project_files.ts";

const MACHINE = { cpu: "Some CPU", cores: 2, memoryBytes: 25.3e9 };
const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const SPREAD = { runs: 9, min: 1, lowerQuartile: 1.01, upperQuartile: 1.04, max: 1.1 };

function result(bench: string, figure: BenchFigure, commit = COMMIT): BenchResult {
  return { ...figure, bench, machine: MACHINE, commit };
}

function overhead(value: number, size = 256, commit = COMMIT): BenchResult {
  return result("overhead", {
    ...{ name: `overhead.sd15-${size}.n2`, value, unit: "ratio", spread: SPREAD },
    pair: {
      a: { name: "cluster", value: 8.4, unit: "s" },
      b: { name: "one-process-turns", value: 8.2, unit: "s" },
    },
  }, commit);
}

const RESULTS: readonly BenchResult[] = [
  overhead(9),
  overhead(1.023),
  overhead(1.017, 512),
  result("overhead", { name: "overhead.sd15-256.n2.cluster.wire", value: 5, unit: "ms" }),
  result("scale", { name: "scale.sd15-half-256.n1", value: 1.5, unit: "s" }),
  result("scale", { name: "scale.sd15-half-256.n1.sent", value: 31.5e6, unit: "bytes" }),
  result("network", { name: "network.a|x.tcp.f16.1", value: 400, unit: "ms" }),
  result("network", { name: "network.a|x.tcp.f16.1.to-sum", value: 1.02, unit: "ratio" }),
  result("network", { name: "network.a|x.tcp.f16.2", value: 345.6, unit: "ms" }),
  result("network", { name: "network.a|x.tcp.f16.2.to-max", value: 1.0512, unit: "ratio" }),
];

const BEFORE = `# Title

<!-- bench:overhead -->
| old |
<!-- /bench:overhead -->

Between.

<!-- bench:latency -->
kept
<!-- /bench:latency -->

<!-- bench:scale --><!-- /bench:scale -->
<!-- bench:network -->

<!-- /bench:network -->
End.
`;

const AFTER = `# Title

<!-- bench:overhead -->

| shape | cluster | one process | ratio | half of the pairs |
| --- | ---: | ---: | ---: | ---: |
| sd15-256.n2 | 8.4 s | 8.2 s | 1.023 | 1.010 .. 1.040 |
| sd15-512.n2 | 8.4 s | 8.2 s | 1.017 | 1.010 .. 1.040 |

Measured on Some CPU, 2 cores, 25.3 GB; commit 012345678.

<!-- /bench:overhead -->

Between.

<!-- bench:latency -->
kept
<!-- /bench:latency -->

<!-- bench:scale -->

| experts | step | sent | received | memory of a worker | of the coordinator |
| --- | ---: | ---: | ---: | ---: | ---: |
| sd15-half-256.n1 | 1.5 s | 31.5 MB |  |  |  |

Measured on Some CPU, 2 cores, 25.3 GB; commit 012345678.

<!-- /bench:scale -->
<!-- bench:network -->

| link | plane | dtype | waves | step | compute | wire | step / bound |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| a\\|x | tcp | f16 | 1 | 400 ms |  |  | 1.020 |
| a\\|x | tcp | f16 | 2 | 346 ms |  |  | 1.051 |

Measured on Some CPU, 2 cores, 25.3 GB; commit 012345678.

<!-- /bench:network -->
End.
`;

Deno.test("rewriteTables() fills the tables that the results speak of and leaves the rest", () => {
  const { text, written, kept } = rewriteTables(BEFORE, RESULTS);
  assert.equal(text, AFTER);
  assert.deepEqual(written, ["overhead", "scale", "network"]);
  assert.deepEqual(kept, ["latency"]);
  assert.equal(rewriteTables(text, RESULTS).text, text, "a second time changes nothing");
});

Deno.test("rewriteTables() names every machine and commit", () => {
  const results = [overhead(1, 256), overhead(1, 512, `${COMMIT}-dirty`)];
  const { text } = rewriteTables(BEFORE, results);
  assert.ok(text.includes("; commit 012345678, and on Some CPU, "), text);
  assert.ok(text.includes("; commit 012345678-dirty.\n"), text);
});

/** The rows that a table has of figures in one unit. */
function rowsOf(bench: string, unit: BenchFigure["unit"], values: Record<string, number>) {
  const results = Object.entries(values).map(([name, value]) =>
    result(bench, { name: `${bench}.${name}`, value, unit })
  );
  return BENCH_TABLES[bench]!.rows(results);
}

Deno.test("tables of planes, codecs, wire dtypes and steady sessions have a row each", () => {
  assert.deepEqual(
    rowsOf("plane", "ms", { "shm.10MB": 4, "shm.64B": 0.2, "grpc.10MB": 40, "shm.0.33MB": 1 }),
    [["shm", "0.20 ms", "1.0 ms", "4.0 ms", ""], ["grpc", "", "", "40.0 ms", ""]],
  );
  assert.deepEqual(
    rowsOf("codec", "ms", { "f16.encode.M00-512": 2, "f16.bytes.M00-512": 1 }),
    [["M00-512", "f16", "1.0 ms", "2.0 ms", "", ""]],
  );
  assert.deepEqual(
    rowsOf("wire", "ratio", {
      ...{ "int8.bytes": 1, "int8.sent": 2, "int8.block.IN00": 0.5, "int8.block.OUT08": 0.75 },
      ...{ "int8.latents": 0.25, "bf16.block.IN00": 0.9 },
    }),
    [["int8", "2.000", "", "0.750", "0.250", ""]],
  );
  assert.deepEqual(
    rowsOf("steady", "count", { "shm.worker-memory": 7, "shm.regions": 0 }),
    [["shm", "7", "", "", "", "", "0"]],
  );
});

Deno.test("tables of one model take its own figures", () => {
  const step = (model: string, name: string, value: number, unit: "s" | "ratio") =>
    result("step", { name, value, unit, conditions: { model, size: "512x512", batch: 2 } });
  const results = ["a", "b"].flatMap((model, i) => [
    step(model, "step", 1 + i, "s"),
    step(model, "products-to-best", 0.7 + i / 10, "ratio"),
    // `bench load` has figures of the same names.
    { ...step(model, "whole-step-to-best", 0.1, "ratio"), bench: "load" },
  ]);
  const { text } = rewriteTables("<!-- bench:step --><!-- /bench:step -->", results);
  assert.match(text, /^\| a \| 512x512 \| 1\.0 s \| {2}\| 70 % \| {2}\|$/m);
  assert.match(text, /^\| b \| 512x512 \| 2\.0 s \| {2}\| 80 % \| {2}\|$/m);
});

Deno.test("rewriteTables() refuses markers that it cannot follow", () => {
  const cases = [
    ["<!-- bench:overhaed --><!-- /bench:overhaed -->", /must name one of .*mean "overhead"/],
    ["<!-- bench:toString --><!-- /bench:toString -->", /"bench:toString" must name one of/],
    ["<!-- bench:scale -->", /<!-- bench:scale --> has no end/],
    ["<!-- /bench:scale -->", /must be a marker that begins a table/],
    ["<!-- bench:scale --><!-- /bench:network -->", /must be <!-- \/bench:scale -->/],
    ["<!-- bench:scale --><!-- bench:network -->", /must be <!-- \/bench:scale -->/],
  ] as const;
  for (const [text, message] of cases) {
    assert.throws(() => rewriteTables(text, RESULTS), (error: Error) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("docs/benchmarks.md: markers name tables that are known, each once", async () => {
  const text = await Deno.readTextFile(BENCHMARKS_PAGE);
  const names = findTables(text).map(({ name }) => name);
  assert.deepEqual(names, [...new Set(names)]);
  for (const name of names) assert.ok(BENCH_TABLES[name], name);
});
