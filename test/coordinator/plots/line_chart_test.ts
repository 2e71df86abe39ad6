import assert from "node:assert/strict";
import { lineChart, ticks } from "../../../coordinator/plots/line_chart.ts";

Deno.test("ticks() are round numbers around the values", () => {
  assert.deepEqual(ticks([3, 97]), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticks([0.231, 0.2352]), [0.231, 0.232, 0.233, 0.234, 0.235, 0.236]);
  assert.deepEqual(ticks([-4, 4]), [-4, -2, 0, 2, 4]);
  assert.deepEqual(ticks([]), [0, 1]);
  const flat = ticks([5]);
  assert.ok(flat[0]! <= 5 && flat.at(-1)! >= 5 && flat.length >= 2);
});

Deno.test("lineChart() puts the least value at the bottom left, the greatest at the top right", () => {
  const svg = lineChart({
    title: "a < b & c",
    xLabel: "step",
    yLabel: "loss",
    series: [{ name: "one", points: [[0, 0], [100, 10]] }],
  });
  assert.match(svg, /<polyline [^>]*points="80,400 780,40"/);
  assert.match(svg, />a &lt; b &amp; c</);
});
