/** `tutti bench overhead`: a cluster over one process with the same cores. @module */

import type { BenchModelName } from "../../bench/bench_model.ts";
import { benchOverhead, overheadRoom, overheadRuns } from "../../bench/overhead_bench.ts";
import { defineBench } from "./bench_entry.ts";
import {
  addPairOptions,
  type ImageSize,
  MODEL_NOTES,
  shapeName,
  threadsOption,
  writeModels,
} from "./model_options.ts";
import { pairText } from "./pair_text.ts";

interface OverheadFlags {
  readonly family: BenchModelName;
  readonly size: ImageSize;
  readonly batch: number;
  readonly threads: number;
  readonly experts: number;
  readonly pairs: number;
  readonly stats: boolean;
}

const NOTES =
  `A step is every block on every expert, with SABW of the paper's size after each. The cluster is one worker per expert
and this coordinator; the threads are shared out among the workers, and the coordinator, which aggregates while they
wait, uses all of them. It is compared with the better of two ways without a cluster: "turns", experts of one process
one after the other, each on all threads, and "lanes", all at once, each on its share. Both sides stay loaded.

${MODEL_NOTES}

Examples:
  tutti bench overhead
  tutti bench overhead --size 512 --stats
  tutti bench overhead --family sd15-half --experts 3 --pairs 15 --json`;

export const overheadBench = defineBench<OverheadFlags>({
  name: "overhead",
  summary: "a cluster over one process with the same cores",
  description: "Measures what distribution costs: a step on a cluster over a step in one process.",
  notes: NOTES,
  options: (command) =>
    addPairOptions(command)
      .addOption(threadsOption("threads that compute, in all")),
  full: { args: [], minutes: 6 },
  toy: ["--family", "toy", "--size", "64", "--pairs", "1", "--threads", "2"],
  run: async ({ family, size, batch, threads, experts, pairs, stats }, context) => {
    const shape = shapeName(family, size);
    await using models = await writeModels(family, experts, context, overheadRoom(family, experts));
    const total = overheadRuns(pairs);
    using progress = context.progress(`Overhead of ${shape}`, total);
    const report = await benchOverhead(models, {
      ...{ ...size, batch, threads, pairs, signal: context.signal },
      name: `overhead.${shape}.n${experts}`,
      onRun: (done, _, side) => progress.update(done, side),
    });
    progress.update(total);
    progress.stop();
    return { figures: report.figures, text: pairText(report, stats) };
  },
});
