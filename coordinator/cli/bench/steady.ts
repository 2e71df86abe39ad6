/** `tutti bench steady`: whether memory and descriptors stay as they are. @module */

import { Option } from "commander";
import { modelPaths } from "../../../shared/checkpoint/model_paths.ts";
import { UsageError } from "../../../shared/errors.ts";
import { BUNDLED_ENSEMBLE } from "../../../shared/project_files.ts";
import { formatTable } from "../../../shared/terminal/table.ts";
import {
  parsePlaneList,
  PLANE_KINDS,
  type PlaneKind,
} from "../../../shared/wire/plane/plane_kind.ts";
import type { BenchModelName, BenchModels } from "../../bench/bench_model.ts";
import type { BenchFigure } from "../../bench/bench_result.ts";
import { readable } from "../../bench/format_figure.ts";
import { RESOURCES } from "../../bench/process_resources.ts";
import {
  benchSteady,
  leaks,
  steadyFigures,
  type SteadyRow,
  warmSessions,
} from "../../bench/steady_bench.ts";
import { loadEnsembleFile } from "../../cluster/ensemble_file.ts";
import { wholeNumber } from "../flags.ts";
import { type BenchContext, defineBench } from "./bench_entry.ts";
import { right } from "./figures_table.ts";
import {
  batchOption,
  familyOption,
  type ImageSize,
  MODEL_NOTES,
  sizeOption,
  writeModels,
} from "./model_options.ts";

interface SteadyFlags {
  readonly planes: readonly PlaneKind[];
  readonly family?: BenchModelName;
  readonly experts: number;
  readonly steps: number;
  readonly session: number;
  readonly size: ImageSize;
  readonly batch: number;
}

const NOTES =
  `Opens session after session on the same workers. Memory is private pages and shared memory, in the last session; its
growth is the median slope after the first quarter of the sessions, of the worker that grows most. The first plane runs
twice and counts the second time, as the heaps of new processes grow for about 1,000 steps. Descriptors, sockets and
regions of shared memory are what a process has more than it had after that quarter: if it has any, the command fails
(exit code 1).

${MODEL_NOTES}

Examples:
  tutti bench steady
  tutti bench steady --planes shm,grpc --steps 10000
  tutti bench steady --family sd15-half --size 256 --steps 100 --session 10 --json`;

export const steadyBench = defineBench<SteadyFlags>({
  name: "steady",
  summary: "whether memory and descriptors stay as they are",
  description: "Measures how memory grows over many steps, and what sessions leave open.",
  notes: NOTES,
  options: (command) =>
    command
      .addOption(familyOption())
      .addOption(
        new Option("--planes <kinds>", "separated by commas")
          .argParser((text) => parsePlaneList("--planes", text))
          .default(PLANE_KINDS, PLANE_KINDS.join(",")),
      )
      .option("--experts <n>", "workers", wholeNumber("--experts"), 2)
      .option("--steps <n>", "steps over each plane", wholeNumber("--steps"), 1000)
      .option("--session <steps>", "steps of a session", wholeNumber("--session"), 50)
      .addOption(sizeOption(64))
      .addOption(batchOption()),
  full: { args: [], minutes: 7 },
  toy: ["--planes", "shm,grpc", "--experts", "1", "--steps", "3", "--session", "1"],
  run: async (flags, context) => {
    const { planes, experts, steps, session, size, batch } = flags;
    const sessions = Math.ceil(steps / session);
    if (sessions - warmSessions(sessions) < 2) {
      throw new UsageError(
        `--steps must be three sessions or more, of ${session} steps each: current value is ${steps}`,
      );
    }
    await using models = await modelsOf(flags, context);
    const total = (planes.length + 1) * sessions;
    using progress = context.progress("Sessions", total);
    let done = 0;
    const rows = await benchSteady(models, {
      ...{ ...size, batch, planes, sessions, stepsPerSession: session, signal: context.signal },
      onSession: (plane) => progress.update(++done, plane),
    });
    progress.stop();
    const conditions = { experts, steps: sessions * session, sessions };
    const figures = steadyFigures(rows).map((figure) => ({ ...figure, conditions }));
    const kept = leaks(rows);
    return {
      ...{ figures, text: steadyText(rows, figures) },
      ...(kept.length > 0 &&
        { failure: `Sessions must give back what they take: ${kept.join(", ")}` }),
    };
  },
});

/** The experts that come with Tutti, or random ones. */
async function modelsOf(
  { family, experts }: SteadyFlags,
  context: BenchContext,
): Promise<BenchModels> {
  if (family !== undefined) return await writeModels(family, experts, context);
  const { experts: bundled } = await loadEnsembleFile(BUNDLED_ENSEMBLE);
  if (experts > bundled.length) {
    throw new UsageError(
      `--experts must be at most ${bundled.length} without --family: current value is ${experts}`,
    );
  }
  return {
    paths: bundled.slice(0, experts).flatMap(({ model }) =>
      model === undefined ? [] : modelPaths(model)
    ),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A row a plane. */
function steadyText(rows: readonly SteadyRow[], figures: readonly BenchFigure[]): string {
  const byName = new Map(figures.map((figure) => [figure.name, figure]));
  const parts = [
    ...["worker-memory", "worker-growth", "coordinator-memory", "coordinator-growth"],
    ...RESOURCES,
  ];
  const titles = [
    ...["a worker's memory", "per 1,000 steps", "coordinator's memory", "per 1,000 steps"],
    ...RESOURCES.map((part) => `${part} kept`),
  ];
  return formatTable(
    ["plane", ...titles.map(right)],
    rows.map(({ plane }) => [
      plane,
      ...parts.map((part) => readable(byName.get(`steady.${plane}.${part}`)!)),
    ]),
  );
}
