/** Where files of this project lie that are data or programs to the code, not modules it imports. @module */

import { join } from "node:path";

const ROOT = join(import.meta.dirname!, "..");

/** The front door, to start workers with. */
export const MAIN_PROGRAM: string = join(ROOT, "main.ts");

/** The experts that come with Tutti (`shared/zoo/README.md`). */
export const BUNDLED_ENSEMBLE: string = join(ROOT, "shared", "zoo", "ensemble.toml");

/** One of them, for whoever needs any small model. */
export const BUNDLED_EXPERT: string = join(ROOT, "shared", "zoo", "round");

/** Numbers of an independent implementation (`test/goldens/README.md`). */
export const BUNDLED_GOLDENS: string = join(ROOT, "test", "goldens");

/** What people read first. */
export const README: string = join(ROOT, "README.md");

/** Where whoever works with Tutti reads on. */
export const DOCS: string = join(ROOT, "docs");

/** Its tables are written from results of benchmarks. */
export const BENCHMARKS_PAGE: string = join(DOCS, "benchmarks.md");

/** Output of benchmarks that the tables are written from (`test/bench/results/README.md`). */
export const BENCH_RESULTS: string = join(ROOT, "test", "bench", "results");
