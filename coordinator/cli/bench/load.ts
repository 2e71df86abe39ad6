/** `tutti bench load`: what a model costs a worker until it has computed. @module */

import { BUNDLED_EXPERT } from "../../../shared/project_files.ts";
import type { BenchModelName } from "../../bench/bench_model.ts";
import { benchLoad } from "../../bench/load_bench.ts";
import { defineBench } from "./bench_entry.ts";
import { loadFigures, loadText } from "./load_output.ts";
import {
  addOneModelOptions,
  batchOption,
  type ImageSize,
  MODEL_NOTES,
  modelConditions,
  oneModel,
  sizeOption,
  threadsOption,
} from "./model_options.ts";

interface LoadFlags {
  readonly model?: string;
  readonly family?: BenchModelName;
  readonly config?: string;
  readonly size: ImageSize;
  readonly batch: number;
  readonly threads: number;
}

/** What `benchLoad()` tells of at most. */
const PHASES = 9;

const NOTES =
  `Starts a real worker and lets it compute two U-Net calls; then another one for a single call. The first calls, which load the
weights, are held against their parts: reading the U-Net from its file once, converting it to f32 on one core, and a step. Memory is what the process holds for itself: private pages
and shared memory; pages of mapped files do not count.

${MODEL_NOTES}

Examples:
  tutti bench load --model photo.safetensors
  tutti bench load --family sd15 --size 256`;

export const loadBench = defineBench<LoadFlags>({
  name: "load",
  summary: "time and memory until a worker has computed",
  description: "Measures what a model costs a worker: time to ready, first call, memory.",
  notes: NOTES,
  options: (command) =>
    addOneModelOptions(command)
      .addOption(sizeOption(512))
      .addOption(batchOption())
      .addOption(threadsOption("threads that compute")),
  full: { args: ["--family", "sd15", "--size", "512"], minutes: 1 },
  toy: ["--model", BUNDLED_EXPERT, "--size", "64"],
  run: async (flags, context) => {
    const { size, batch, threads } = flags;
    await using model = await oneModel("load", flags, context);
    using progress = context.progress("Starting", PHASES);
    let phases = 0;
    const report = await benchLoad({
      ...{ ...size, batch, threads, signal: context.signal },
      model: model.path,
      ...(model.configFrom !== undefined && { configFrom: model.configFrom }),
      onPhase: (phase) => progress.update(phases++, phase),
    });
    progress.update(PHASES);
    progress.stop();
    const conditions = modelConditions(flags);
    const figures = loadFigures(report).map((figure) => ({ ...figure, conditions }));
    return { figures, text: loadText(report) };
  },
});
