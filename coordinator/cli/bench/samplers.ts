/** `tutti bench samplers`: how few steps each sampler needs. @module */

import { type Command, Option } from "commander";
import { formatTable } from "../../../shared/terminal/table.ts";
import { readable, readableSpread } from "../../bench/format_figure.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import {
  batchCount,
  benchSamplers,
  deterministicSamplers,
  evaluationCount,
  samplerFigures,
  type SamplerRow,
  type Subject,
} from "../../bench/sampler_bench.ts";
import { openEnsemble } from "../../ensemble/ensemble.ts";
import { type EnsembleFlags, ensemblePlan } from "../../ensemble/ensemble_plan.ts";
import { findSampler } from "../../sampling/samplers/samplers.ts";
import { MAX_STEPS } from "../../settings/limits.ts";
import { SeededDraws } from "../../training/seeded_draws.ts";
import { TensorCache } from "../../training/dataset/tensor_cache.ts";
import { randomScene } from "../../zoo/shapes.ts";
import { finiteNumber, wholeNumber } from "../flags.ts";
import { defineBench } from "./bench_entry.ts";
import { right } from "./figures_table.ts";

interface SamplersFlags extends Pick<EnsembleFlags, "ensemble" | "sabw"> {
  readonly samplers: readonly string[];
  readonly steps: readonly number[];
  readonly pictures: number;
  readonly guidance: number;
  readonly referenceSteps: number;
  readonly keep?: string;
}

/** Of second order, with one evaluation a step, and at most one step less than the training's timesteps. */
const REFERENCE = "dpmpp_2m_karras", REFERENCE_STEPS = MAX_STEPS - 1;
const TOY = ["--pictures", "2", "--reference-steps", "3"];
const KARRAS = ["euler", "dpmpp_2m", "dpmpp_3m"].map((name) => `${name}_karras`);

const NOTES =
  `Without new noise a sampler solves an equation: from one noise all of them end in one picture, the sooner the better
they are. Draws captions of the bundled experts' world, a seed each, by every sampler with few steps, and compares the
pictures with those of ${REFERENCE} with --reference-steps. A figure is the mean PSNR over the pictures; 255 is the
range of a picture's values, which are not rounded. The experts compute in this process, to the bits of workers.

Examples:
  tutti bench samplers --keep /tmp/samplers   # interrupted? The same command goes on
  tutti bench samplers --samplers ddim,dpmpp_2m_karras --steps 25,50 --pictures 10 --json`;

export const samplersBench = defineBench<SamplersFlags>({
  name: "samplers",
  summary: "how near each sampler comes to the exact picture, by steps",
  description:
    "Measures how near deterministic samplers come, in few steps, to the picture of many.",
  notes: NOTES,
  options: (command) =>
    samplerOptions(command)
      .option("--pictures <n>", "captions, each with a seed", wholeNumber("--pictures"), 50)
      .option("--guidance <scale>", "classifier-free guidance", finiteNumber("--guidance"), 7.5)
      .option(
        "--reference-steps <n>",
        "of what all are compared with",
        wholeNumber("--reference-steps", 1, REFERENCE_STEPS),
        REFERENCE_STEPS,
      )
      .option("--keep <folder>", "keeps what was drawn there, to go on after an interruption")
      .option("--ensemble <file>", "ensemble file (default: the experts that come with Tutti)")
      .option("--sabw <folder>", 'trained aggregators, or "uniform" (default: the ensemble\'s)'),
  full: { args: [], minutes: 40 },
  toy: ["--samplers", "ddim,dpmpp_2m_karras", "--steps", "2", ...TOY],
  run: async (flags, context) => {
    const { guidance, pictures } = flags;
    const reference = { sampler: REFERENCE, steps: flags.referenceSteps };
    const runs = flags.samplers.flatMap((sampler) =>
      flags.steps.map((steps) => ({ sampler, steps }))
    );
    await using ensemble = await openEnsemble(await ensemblePlan(flags), {
      isLocal: true,
      signal: context.signal,
    });
    const evaluations = [reference, ...runs].map(evaluationCount).reduce((a, b) => a + b);
    using progress = context.progress("Sampling", evaluations * batchCount(pictures));
    let done = 0;
    const rows = await Array.fromAsync(benchSamplers(ensemble, {
      ...{ runs, reference, guidance, signal: context.signal },
      subjects: captions(pictures),
      ...(flags.keep !== undefined && { cache: new TensorCache(flags.keep) }),
      onEvaluations: (count, { sampler, steps }) =>
        progress.update(done += count, `${sampler} ${steps}`),
    }));
    progress.stop();
    const figures = samplerFigures(rows, {
      ...{ model: ensemble.name, guidance, pictures, experts: ensemble.experts.length },
      reference: `${reference.sampler} ${reference.steps}`,
    });
    return { figures, text: samplersText(rows, figures) };
  },
});

function samplerOptions(command: Command): Command {
  const all = [...deterministicSamplers(), ...KARRAS];
  return command
    .addOption(
      new Option("--samplers <list>", "by any of their names, separated by commas")
        .argParser((text) => text.split(",").map((name) => findSampler(name).name))
        .default(all, "all that draw no noise, some with karras"),
    )
    .addOption(
      new Option("--steps <list>", "numbers of steps, separated by commas")
        .argParser((text) => text.split(",").map(wholeNumber("--steps", 1, MAX_STEPS)))
        .default([10, 15, 20, 25, 50], "10,15,20,25,50"),
    );
}

/** Of the world that the bundled experts know; the seeds count from 0. */
function captions(count: number): Subject[] {
  return Array.from({ length: count }, (_, i) => ({
    prompt: randomScene(new SeededDraws(0n, ["caption", i])).caption,
    seed: BigInt(i),
  }));
}

/** A row a sampler and number of steps. */
function samplersText(rows: readonly SamplerRow[], figures: readonly BenchFigure[]): string {
  const byName = new Map(figures.map((figure) => [figure.name, figure]));
  const titles = ["steps", "evaluations", "PSNR", "half of the pictures"];
  return formatTable(
    ["sampler", ...titles.map(right)],
    rows.map((row, i) => {
      const figure = byName.get(`samplers.${row.sampler}.${row.steps}`);
      return [
        rows[i - 1]?.sampler === row.sampler ? "" : row.sampler,
        row.steps,
        evaluationCount(row),
        figure ? readable(figure) : "the same",
        figure ? readableSpread(figure) : "",
      ];
    }),
  );
}
