/** `tutti bench latency`: N models on a core each over one model on one core. @module */

import type { BenchModelName } from "../../bench/bench_model.ts";
import { benchLatency, latencyRoom } from "../../bench/latency_bench.ts";
import { defineBench } from "./bench_entry.ts";
import {
  addPairOptions,
  type ImageSize,
  MODEL_NOTES,
  shapeName,
  writeModels,
} from "./model_options.ts";
import { pairText } from "./pair_text.ts";

interface LatencyFlags {
  readonly family: BenchModelName;
  readonly size: ImageSize;
  readonly batch: number;
  readonly experts: number;
  readonly pairs: number;
  readonly stats: boolean;
}

const NOTES =
  `A step of the ensemble, with SABW of the paper's size after every block, over a step of one of its models. Each worker
is pinned to a core of its own with taskset, and the coordinator to the cores of all workers; where taskset is missing
nothing is pinned, and "pinned" in the results is false.

${MODEL_NOTES}

Examples:
  tutti bench latency
  tutti bench latency --size 512 --stats
  tutti bench latency --family sd15-half --pairs 15 --json`;

export const latencyBench = defineBench<LatencyFlags>({
  name: "latency",
  summary: "N models on a core each over one model on one core",
  description: "Measures whether N models cost one model's latency.",
  notes: NOTES,
  options: (command) => addPairOptions(command),
  full: { args: [], minutes: 5 },
  toy: ["--family", "toy", "--size", "64", "--pairs", "1"],
  run: async ({ family, size, batch, experts, pairs, stats }, context) => {
    const shape = shapeName(family, size);
    await using models = await writeModels(family, experts, context, latencyRoom(family, experts));
    using progress = context.progress(`Latency of ${shape}`, 2 * (pairs + 1));
    const report = await benchLatency(models, {
      ...{ ...size, batch, pairs, signal: context.signal },
      name: `latency.${shape}.n${experts}`,
      onRun: (done, _, side) => progress.update(done, side),
    });
    progress.update(2 * (pairs + 1));
    progress.stop();
    return { figures: report.figures, text: pairText(report, stats) };
  },
});
