import assert from "node:assert/strict";
import { formatBytes, formatClock, formatDuration } from "../../../shared/terminal/units.ts";

Deno.test("formatBytes() shows one decimal from the first kilobyte on", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [999_949, "999.9 kB"],
    [999_950, "1.0 MB"],
    [10_485_760, "10.5 MB"],
    [3.44e9, "3.4 GB"],
    [5e15, "5000.0 TB"],
    [-1500, "-1.5 kB"],
  ];
  for (const [bytes, expected] of cases) assert.equal(formatBytes(bytes), expected);
});

Deno.test("formatDuration() goes from hundredths of a millisecond to hours", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0.00 ms"],
    [0.417, "0.42 ms"],
    [0.9996, "1.0 ms"],
    [99.94, "99.9 ms"],
    [99.96, "100 ms"],
    [999.4, "999 ms"],
    [999.6, "1.0 s"],
    [59_940, "59.9 s"],
    [59_960, "1 min 0 s"],
    [125_000, "2 min 5 s"],
    [3_599_600, "1 h 0 min"],
    [11_000_000, "3 h 3 min"],
  ];
  for (const [ms, expected] of cases) assert.equal(formatDuration(ms), expected);
});

Deno.test("formatClock() pads seconds, and minutes once there are hours", () => {
  const cases: readonly (readonly [number, string])[] = [
    [-5, "0:00"],
    [7_400, "0:07"],
    [59_500, "1:00"],
    [754_000, "12:34"],
    [3_723_000, "1:02:03"],
    [360_000_000, "100:00:00"],
  ];
  for (const [ms, expected] of cases) assert.equal(formatClock(ms), expected);
});
