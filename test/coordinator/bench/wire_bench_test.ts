import assert from "node:assert/strict";
import { wireFigures, type WireRow } from "../../../coordinator/bench/wire_bench.ts";
import { wireText } from "../../../coordinator/cli/bench/wire_output.ts";

const ROWS: WireRow[] = [
  { dtype: "f32", planes: ["unix"], sentBytes: 4000, receivedBytes: 2000 },
  {
    ...{ dtype: "int8", planes: ["unix", "tcp"], sentBytes: 1000, receivedBytes: 500 },
    error: {
      blocks: new Map([["IN00", [0.001, 0.003, 0.002]], ["OUT08", [0.01]]]),
      latents: 0.02,
      psnr: 41.26,
    },
  },
];

Deno.test("wireFigures() tell bytes of each dtype, and of those with an error what it does", () => {
  const figures = wireFigures(ROWS, { steps: 3 });
  assert.deepEqual(figures.map(({ name, value, unit }) => [name, value, unit]), [
    ["wire.f32.bytes", 6000, "bytes"],
    ["wire.f32.sent", 4000, "bytes"],
    ["wire.f32.received", 2000, "bytes"],
    ["wire.int8.bytes", 1500, "bytes"],
    ["wire.int8.sent", 1000, "bytes"],
    ["wire.int8.received", 500, "bytes"],
    ["wire.int8.latents", 0.02, "ratio"],
    ["wire.int8.psnr", 41.26, "dB"],
    ["wire.int8.block.IN00", 0.002, "ratio"],
    ["wire.int8.block.OUT08", 0.01, "ratio"],
  ]);
  assert.deepEqual(figures[3]!.conditions, { steps: 3, plane: "unix, tcp" });
});

Deno.test("wireFigures() have no PSNR of an image that is the same, which no JSON could tell", () => {
  const [, int8] = ROWS;
  const rows = [{ ...int8!, error: { ...int8!.error!, psnr: Infinity } }];
  const figures = wireFigures(rows, {});
  assert.ok(!figures.some(({ name }) => name.endsWith("psnr")));
  assert.match(wireText(rows, figures), /2\.0e-2 +the same$/m);
});

Deno.test("wireText() has a row a dtype and a row a block", () => {
  assert.equal(
    wireText(ROWS, wireFigures(ROWS, {})),
    `
      plane      sent a step  received a step  of f32  latents     PSNR
f32   unix            4.0 kB           2.0 kB   100 %
int8  unix, tcp       1.0 kB            500 B    25 %   2.0e-2  41.3 dB

block    int8
IN00   2.0e-3
OUT08  1.0e-2`.slice(1),
  );
});
