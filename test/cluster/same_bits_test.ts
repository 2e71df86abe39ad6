/**
 * Samplers and methods on worker processes: whatever happens to a run, its bits are those of the run to which nothing happened.
 * A sampler that remembers earlier steps, one that draws noise, one that does both, and methods that work on noise stand for
 * the others, whose steps the unit tests repeat and resume one by one.
 */

import assert from "node:assert/strict";
import type { Ensemble } from "../../coordinator/ensemble/ensemble.ts";
import { imageToRgb } from "../../coordinator/image/pixels.ts";
import { FileCheckpoint } from "../../coordinator/jobs/checkpoint_store.ts";
import { type JobSpec, newJob } from "../../coordinator/jobs/job_spec.ts";
import { JobQueue } from "../../coordinator/jobs/queue/job_queue.ts";
import { submitJob } from "../../coordinator/jobs/queue/submit_job.ts";
import { type DrawnImages, type JobRun, runJob } from "../../coordinator/jobs/run_job.ts";
import type { JobSettings } from "../../coordinator/settings/settings.ts";
import { bitEqual } from "../../shared/tensor/compare.ts";
import { f32, type F32Tensor, sliceRows } from "../../shared/tensor/tensor.ts";
import { drawImage, type TimedEvent } from "../fault/scenarios/image_run.ts";
import { openOn } from "../fault/scenarios/run_scenario.ts";
import { type FleetWorker, WorkerFleet } from "../fault/scenarios/worker_fleet.ts";
import { connectTo, QueueHome } from "../support/job_queue.ts";
import { findNatsServer } from "../support/nats_program.ts";
import { NatsServer } from "../support/nats_server.ts";
import { testTutti, type TuttiHome } from "../support/run_tutti.ts";
import { PROMPT, readPng, ZOO_EXPERTS, zooPath } from "../support/zoo.ts";

interface Case {
  readonly name: string;
  /** Steps are as many as take about as long as those of the others: a step of `average` has 25 round trips. */
  readonly settings: Pick<JobSettings, "method" | "sampler" | "steps">;
  /** Whose worker is killed, in the step after which one. */
  readonly struck: { readonly expert: string; readonly step: number };
}

const CASES: readonly Case[] = [
  {
    name: "dpmpp_2m",
    settings: { sampler: "dpmpp_2m", method: "average", steps: 4 },
    struck: { expert: "round", step: 1 },
  },
  {
    name: "euler_a-magicfusion",
    settings: { sampler: "euler_a", method: "magicfusion", steps: 8 },
    struck: { expert: "square", step: 3 },
  },
  {
    name: "dpmpp_2m_sde-switch",
    settings: { sampler: "dpmpp_2m_sde", method: "switch", steps: 12 },
    // The last third is its.
    struck: { expert: "pointed", step: 8 },
  },
];

const SEED = 7n, OTHER_SEED = 3n;

function specOf({ settings }: Case, changes: Partial<JobSettings> = {}, seeds = [SEED]): JobSpec {
  const subject = { prompt: PROMPT, seeds, ensemble: "shapes" };
  return newJob(subject, { ...settings, ...changes, guidance: 5, wireDtype: "f32" });
}

function draw(
  ensemble: Ensemble,
  spec: JobSpec,
  run: Partial<JobRun> = {},
): Promise<DrawnImages> {
  return runJob({ ensemble, spec, warn: () => {}, ...run });
}

function assertSame(what: string, actual: F32Tensor, expected: F32Tensor): void {
  assert.ok(bitEqual(actual.data, expected.data), `${what}: other bits`);
}

const natsServer = await findNatsServer();

testTutti("samplers and methods keep their bits", async (home, t) => {
  await using fleet = await WorkerFleet.start(home, { replicas: 2 });
  const events: TimedEvent[] = [];
  await using ensemble = await openOn(fleet, 60, (event) => events.push(event));
  const whole = new Map<string, DrawnImages>();
  for (const each of CASES) {
    await t.step(`${each.name}: in a batch, and in two waves`, async () => {
      const alone = await draw(ensemble, specOf(each));
      whole.set(each.name, alone);
      const seeds = [OTHER_SEED, SEED];
      const batch = await draw(ensemble, specOf(each, {}, seeds));
      assertSame("the batch's second image", sliceRows(batch.latents, 1, 2), alone.latents);
      assert.ok(!bitEqual(sliceRows(batch.latents, 0, 1).data, alone.latents.data));
      const waves = await draw(ensemble, specOf(each, { waves: 2 }, seeds));
      assertSame("the batch in two waves", waves.latents, batch.latents);
    });

    await t.step(`${each.name}: interrupted in a step, resumed from the checkpoint`, async () => {
      const spec = specOf(each);
      const kept = new FileCheckpoint(home.file(`${each.name}.ckpt`));
      const abort = new AbortController();
      const { signal } = abort;
      const onSegment = ({ stepIndex }: { readonly stepIndex: number }) => {
        if (stepIndex === 2) abort.abort();
      };
      const cut = draw(ensemble, spec, { checkpoints: kept, onSegment, signal });
      await assert.rejects(cut, { code: "CANCELLED" });
      const from = (await kept.load())!;
      assert.ok(from.stepIndex >= 1 && from.stepIndex < spec.steps - 1, `${from.stepIndex}`);
      const { latents } = await draw(ensemble, spec, { from });
      assertSame("resumed", latents, whole.get(each.name)!.latents);
    });
  }

  const struck: FleetWorker[] = [];
  for (const each of CASES) {
    await t.step(`${each.name}: a worker is killed, its replica goes on`, async () => {
      const { expert, step } = each.struck;
      const action = { kind: "end", signal: "SIGKILL", startsAgain: false } as const;
      const { latents, error } = await drawImage({
        ensemble,
        fleet,
        spec: specOf(each),
        job: each.name,
        strikes: [{ expert, step, afterBlock: 0, action }],
        onStrike: (worker) => void struck.push(worker!),
      });
      assert.equal(error, undefined);
      const from = struck.at(-1)!;
      assert.equal(from.expert, expert);
      assert.ok(events.some((event) => event.kind === "failover" && event.from === from.address));
      assertSame("after the kill", latents!, whole.get(each.name)!.latents);
    });
  }

  await t.step({
    name: "from the queue, when each job's coordinator is killed",
    ignore: !("path" in natsServer),
    fn: async () => {
      await writeEnsemble(home, fleet.workers.filter((worker) => !struck.includes(worker)));
      await using server = await NatsServer.start();
      await using queue = await QueueHome.open(home, server);
      await assertTakenOver(queue, whole);
      await queue.killAll();
    },
  });
}, { sanitizeOps: false, sanitizeResources: false });

/** The bundled experts on workers that run. */
async function writeEnsemble(home: TuttiHome, workers: readonly FleetWorker[]): Promise<void> {
  const paths = Object.entries({
    vae: zooPath("vae"),
    tokenizer: zooPath("tokenizer"),
    scheduler: zooPath("scheduler", "scheduler_config.json"),
  }).map(([key, path]) => `${key} = "${path}"`);
  const experts = ZOO_EXPERTS.flatMap((expert) => [
    "[[experts]]",
    `name = "${expert}"`,
    `address = "${workers.find((worker) => worker.expert === expert)!.address}"`,
  ]);
  const lines = ['name = "shapes"', 'sabw = "uniform"', ...paths, ...experts, ""];
  await Deno.writeTextFile(home.file("fleet.toml"), lines.join("\n"));
}

/** A coordinator for each job, which is killed in the middle of it; one more takes all of them over. */
async function assertTakenOver(
  queue: QueueHome,
  whole: ReadonlyMap<string, DrawnImages>,
): Promise<void> {
  const start = (name: string, ...flags: string[]) =>
    queue.coordinator(name, "--ensemble", "fleet.toml", ...flags);
  const first = await Promise.all(CASES.map((_, i) => start(`first-${i}`)));
  await using nats = await connectTo(queue.server);
  const stores = { queue: await JobQueue.open(nats), records: queue.records };
  await Promise.all(CASES.map(async (each) => {
    const id = each.name, spec = specOf(each);
    await submitJob(stores, { id, spec });
    const { coordinator, stepsDone } = await queue.until(id, ({ stepsDone }) => stepsDone >= 2);
    await first.find(({ name }) => name === coordinator)!.kill();
    assert.ok(stepsDone < spec.steps, `${id} was done before its coordinator could be killed`);
  }));
  const heir = await start("heir", "--jobs", String(CASES.length));
  for (const { name } of CASES) {
    const { images: [image], coordinator } = await queue.done(name);
    assert.equal(coordinator, heir.name);
    const { data, shape } = whole.get(name)!.images;
    const { rgb } = await readPng(image!.path);
    assert.ok(bitEqual(rgb, imageToRgb(f32(shape.slice(1), data))), `${name}: other pixels`);
  }
}
