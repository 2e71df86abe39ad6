/** The stage that trains SABW for the three experts, as `tutti train` does for any. @module */

import { join } from "node:path";
import { exists } from "../../../shared/checkpoint/exists.ts";
import { loadEnsembleFile } from "../../cluster/ensemble_file.ts";
import { openEnsemble } from "../../ensemble/ensemble.ts";
import { SabwAggregator } from "../../sampling/methods/sabw/sabw_aggregator.ts";
import { ADAMW_DEFAULTS } from "../../training/adamw.ts";
import { compareBaselines } from "../../training/compare_baselines.ts";
import { readRecords } from "../../training/dataset/records.ts";
import { prepareTraining } from "../../training/prepare_training.ts";
import { hasRun } from "../../training/run_folder.ts";
import { runTraining } from "../../training/run_training.ts";
import { writeWholeFolder } from "../../training/whole_folder.ts";
import { writeScenes } from "../write_scenes.ts";
import { copyInto } from "./copy_folder.ts";
import { writeEnsembleFile } from "./ensemble_folder.ts";
import {
  runFolder,
  type StageContext,
  type StageEvent,
  type StageResult,
} from "./stage_context.ts";

export async function* trainSabw(
  context: StageContext,
): AsyncGenerator<StageEvent, StageResult, void> {
  const { recipe, out, compute, signal } = context;
  const { sabw, seed, world, checkpointEvery } = recipe;
  const folder = runFolder(context, "sabw");
  const pictures = join(folder, "pictures");
  if (!await exists(pictures)) {
    yield { event: "prepare", what: "Drawing pictures", done: 0, total: sabw.pictures };
    await writeWholeFolder(pictures, async (inside) => {
      await writeScenes(inside, { ...world, count: sabw.pictures, seed, size: recipe.imageSize });
    });
  }
  const file = await writeEnsembleFile(out, "uniform");
  await using ensemble = await openEnsemble(await loadEnsembleFile(file), {
    isLocal: true,
    ...(signal && { signal }),
  });
  const trained = join(folder, "run");
  await using prepared = await prepareTraining(ensemble, {
    ...{
      data: await readRecords(pictures),
      out: trained,
      steps: sabw.steps,
      batch: sabw.batch,
      microBatch: sabw.batch,
    },
    adamw: { ...ADAMW_DEFAULTS, learningRate: sabw.learningRate },
    ...{
      cooldown: sabw.cooldown,
      dropText: 0.1,
      seed,
      aggregatedBlocks: "all",
      sabwSize: sabw.size,
      holdOut: sabw.holdOut,
    },
    penalties: { balance: 0, certainty: 0 },
    ...{ drawsPerImage: 4, evaluateEvery: checkpointEvery, checkpointEvery, keep: 2 },
    ...{ cache: join(folder, "cache"), isResumed: await hasRun(trained) },
  }, { compute, ...(signal && { signal }) });
  const run = runTraining(prepared.run);
  let next = await run.next();
  for (; !next.done; next = await run.next()) {
    const { value } = next;
    if (value.event === "step") {
      yield { event: "step", step: value.step, steps: sabw.steps, loss: value.loss };
    }
  }
  const { losses, sabw: chosen } = next.value;
  const shared = { ...ensemble.experts[0]!.description, numExperts: ensemble.experts.length };
  const aggregator = await SabwAggregator.open(chosen, shared, compute);
  const quality: Record<string, number> = {};
  try {
    const { experts, plan } = prepared.run.ensemble;
    const { comparisons } = await compareBaselines({
      ...{ experts, names: ensemble.members.map(({ name }) => name), sabw: aggregator, plan },
      ...{ rows: prepared.run.rows, heldOut: prepared.run.heldOut, microBatch: sabw.batch },
      ...(signal && { signal }),
    });
    for (const { name, loss } of comparisons) quality[`held-out loss, ${name}`] = loss;
  } finally {
    await aggregator.close();
  }
  await writeWholeFolder(join(out, "sabw"), (inside) => copyInto(chosen, inside));
  await writeEnsembleFile(out, "sabw");
  return { losses, quality };
}
