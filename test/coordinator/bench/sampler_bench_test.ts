import assert from "node:assert/strict";
import {
  benchSamplers,
  deterministicSamplers,
  evaluationCount,
  samplerFigures,
  type SamplerRow,
} from "../../../coordinator/bench/sampler_bench.ts";
import { openEnsemble } from "../../../coordinator/ensemble/ensemble.ts";
import { ensemblePlan } from "../../../coordinator/ensemble/ensemble_plan.ts";
import { psnr } from "../../../coordinator/image/psnr.ts";
import { newJob } from "../../../coordinator/jobs/job_spec.ts";
import { runJob } from "../../../coordinator/jobs/run_job.ts";
import { TensorCache } from "../../../coordinator/training/dataset/tensor_cache.ts";
import { tempFolder } from "../../support/temp_folder.ts";

Deno.test("samplers that draw noise have no picture to come near to", () => {
  const names = deterministicSamplers();
  for (const name of ["ddim", "euler", "heun", "dpmpp_2m", "unipc"]) {
    assert.ok(names.includes(name));
  }
  const noisy = ["ddpm", "euler_a", "dpm_2_a", "dpmpp_2m_sde", "dpmpp_sde", "lcm", "tcd"];
  assert.deepEqual(names.filter((name) => noisy.includes(name)), []);
  assert.deepEqual(
    ["euler", "heun", "dpm_solver_3s"].map((sampler) => evaluationCount({ sampler, steps: 10 })),
    [10, 19, 28],
  );
});

Deno.test("a figure is the mean over the pictures, and missing where one is the reference's", () => {
  const rows: SamplerRow[] = [
    { sampler: "heun", steps: 10, psnr: [20, 30, 46] },
    { sampler: "euler", steps: 25, psnr: [20, Infinity] },
  ];
  const figures = samplerFigures(rows, {}).map(({ name, value, unit }) => [name, value, unit]);
  assert.deepEqual(figures, [
    ["samplers.heun.10", 32, "dB"],
    ["samplers.heun.evaluations", 2, "count"],
    ["samplers.euler.evaluations", 1, "count"],
  ]);
});

Deno.test("a run of several captions draws the pictures of single jobs, and goes on from its cache", async () => {
  await using ensemble = await openEnsemble(await ensemblePlan({}), { isLocal: true });
  await using folder = await tempFolder();
  const subjects = [
    { prompt: "a large red heart on a plain white background", seed: 3n },
    { prompt: "a blue ring left of a pink circle on a plain gray background", seed: 4n },
  ];
  const [reference, run] = [{ sampler: "euler", steps: 3 }, { sampler: "ddim", steps: 2 }];
  const counts: number[] = [];
  const bench = () =>
    Array.fromAsync(benchSamplers(ensemble, {
      ...{ subjects, guidance: 5, runs: [run], reference },
      cache: new TensorCache(folder.path),
      onEvaluations: (count) => counts.push(count),
    }));
  const [row] = await bench();
  const picture = async ({ sampler, steps }: typeof run, { prompt, seed }: typeof subjects[0]) => {
    const spec = newJob({ prompt, seeds: [seed], ensemble: "x" }, { sampler, steps, guidance: 5 });
    return (await runJob({ ensemble, spec, warn: () => {} })).images;
  };
  for (const [i, subject] of subjects.entries()) {
    const single = psnr(await picture(run, subject), await picture(reference, subject));
    assert.ok(Math.abs(row!.psnr[i]! - single) < 1e-3, `${row!.psnr[i]} ${single}`);
  }
  assert.deepEqual(counts.filter((count) => count > 0), [1, 1, 1, 1, 1]);
  counts.length = 0;
  assert.deepEqual(await bench(), [row]);
  assert.deepEqual(counts, [3, 2]);
});
