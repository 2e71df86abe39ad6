/** Every benchmark, in the order in which `tutti bench all` runs them: quick ones first. @module */

import type { BenchEntry } from "./bench_entry.ts";
import { blockBench } from "./block.ts";
import { codecBench } from "./codec.ts";
import { latencyBench } from "./latency.ts";
import { loadBench } from "./load.ts";
import { overheadBench } from "./overhead.ts";
import { planeBench } from "./plane.ts";
import { samplersBench } from "./samplers.ts";
import { scaleBench } from "./scale.ts";
import { steadyBench } from "./steady.ts";
import { stepBench } from "./step.ts";
import { wireBench } from "./wire.ts";

export const BENCHES: readonly BenchEntry[] = [
  stepBench,
  loadBench,
  codecBench,
  planeBench,
  wireBench,
  blockBench,
  overheadBench,
  latencyBench,
  scaleBench,
  steadyBench,
  samplersBench,
];
