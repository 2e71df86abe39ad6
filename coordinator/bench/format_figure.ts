/** Figures as people read them, in tables of the terminal and of the documentation. @module */

import { formatBytes, formatDuration } from "../../shared/terminal/units.ts";
import type { Measured } from "./bench_result.ts";

/** `1.043`, `2.1e-4`, `8.2 s`, `10.5 MB` */
export function readable({ value, unit }: Pick<Measured, "value" | "unit">): string {
  switch (unit) {
    case "s":
      return formatDuration(value * 1000);
    case "ms":
      return formatDuration(value);
    case "bytes":
      return formatBytes(value);
    case "ratio":
      return readableRatio(value);
    case "count":
      return String(value);
    default:
      return `${value.toFixed(1)} ${unit}`;
  }
}

/** `1.021 .. 1.060`: between the quartiles; empty for what was measured once. */
export function readableSpread({ spread, unit }: Measured): string {
  if (!spread || spread.runs < 2) return "";
  const [low, high] = [spread.lowerQuartile, spread.upperQuartile];
  return `${readable({ value: low, unit })} .. ${readable({ value: high, unit })}`;
}

/** Comparisons of times with three digits; what is far below 1 is an error, whose power of ten counts. */
function readableRatio(value: number): string {
  if (value === 0) return "0";
  return Math.abs(value) < 0.1 ? value.toExponential(1) : value.toFixed(3);
}
