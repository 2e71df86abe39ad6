import assert from "node:assert/strict";
import type { TrainableSabw } from "../../../coordinator/training/trainable_sabw.ts";
import { heldOutRows } from "../../../coordinator/training/held_out.ts";
import { checkRunFolder, findCheckpoint } from "../../../coordinator/training/run_folder.ts";
import {
  runTraining,
  type TrainingEvent,
  type TrainingResult,
  type TrainingRun,
} from "../../../coordinator/training/run_training.ts";
import { WorkerError } from "../../../shared/errors.ts";
import { openSmallTraining, type SmallTraining } from "./small_training.ts";

const METADATA = {
  experts: [{ name: "a", modelHash: "1" }, { name: "b", modelHash: "2" }],
  aggregatedBlocks: "noise",
  recipe: { seed: "7", batch: 2 },
} as const;

function runOf(
  small: SmallTraining,
  sabw: TrainableSabw,
  changes: Partial<TrainingRun> = {},
): TrainingRun {
  const { from: _none, ...request } = small.request(sabw, { steps: 3, batch: 2 });
  return {
    ...request,
    ...{ sabw, metadata: METADATA, out: small.temp.join("run"), evaluateEvery: 2 },
    ...{ checkpointEvery: 1, keep: 2 },
    heldOut: heldOutRows(small.rows, small.examples.slice(0, 1), 1n, 2),
    ...changes,
  };
}

async function collect(
  run: TrainingRun,
): Promise<{ events: TrainingEvent[]; result: TrainingResult }> {
  const events: TrainingEvent[] = [];
  const generator = runTraining(run);
  for (;;) {
    const { done, value } = await generator.next();
    if (done) return { events, result: value };
    events.push(value);
  }
}

const names = async (path: string) =>
  (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();

Deno.test("a run evaluates, keeps the newest checkpoints and the best SABW, and goes on after an interruption", async (t) => {
  await using small = await openSmallTraining("noise");
  const out = small.temp.join("run");
  const controller = new AbortController();
  const sabw = await small.openSabw();
  const events: TrainingEvent[] = [];
  const cancelled = runTraining(
    runOf(small, sabw, { checkpointEvery: 100, signal: controller.signal }),
  );
  await assert.rejects(async () => {
    for await (const event of cancelled) {
      events.push(event);
      if (event.event === "step" && event.step === 1) controller.abort();
    }
  }, { code: "CANCELLED" });
  // Nobody loses a step that was made.
  assert.deepEqual(events.map(({ event }) => event), ["heldOut", "step", "checkpoint"]);

  const other = { ...METADATA.recipe, batch: 3 };
  await assert.rejects(findCheckpoint(out, other), {
    name: "FormatError",
    message: /"batch" must be 2 as in step-0000001: current value is 3/,
  });
  const cooldown = (from: number) => ({ ...METADATA.recipe, cooldown: { from, to: 3 } });
  await assert.rejects(findCheckpoint(out, cooldown(0)), { message: /"cooldown" must be/ });
  assert.equal((await findCheckpoint(out, cooldown(1))).optimizer.updates, 1);
  // As the run of an earlier version, which did not tell it.
  await findCheckpoint(out, { ...METADATA.recipe, scaling_factor: 0.18215 });
  const resumed = await findCheckpoint(out, METADATA.recipe);
  const sabwOfCheckpoint = await small.openSabw(resumed.path);
  const rest = await collect(runOf(small, sabwOfCheckpoint, { resumed }));
  assert.deepEqual(rest.events.map(({ event, step }) => `${event} ${step}`), [
    ...["step 2", "heldOut 2", "checkpoint 2", "step 3", "heldOut 3", "checkpoint 3"],
  ]);
  assert.deepEqual(await names(`${out}/checkpoints`), ["step-0000002", "step-0000003"]);
  const { result } = rest;
  assert.equal(result.losses.length, 3);
  assert.deepEqual(result.heldOut.map(({ step }) => step), [0, 2, 3]);
  assert.deepEqual(result.usage.blocks().map(({ block }) => block), ["OUT11"]);

  await t.step("as a run that was not interrupted", async () => {
    const whole = await small.openSabw();
    const { result } = await collect(runOf(small, whole, { out: small.temp.join("whole") }));
    assert.deepEqual(result.losses, rest.result.losses);
    assert.deepEqual(result.heldOut, rest.result.heldOut);
    for (const name of ["aggregator_24/aggregator.safetensors", "tutti.json"]) {
      assert.deepEqual(
        await Deno.readFile(`${small.temp.join("whole")}/sabw/${name}`),
        await Deno.readFile(`${out}/sabw/${name}`),
      );
    }
  });

  await t.step(
    "what stands there is used, whatever is left of an unfinished checkpoint",
    async () => {
      await Deno.mkdir(`${out}/checkpoints/step-0000009.abc.partial`);
      assert.equal((await findCheckpoint(out, METADATA.recipe)).optimizer.updates, 3);
      await Deno.truncate(`${out}/checkpoints/step-0000003/optimizer.safetensors`, 50);
      await assert.rejects(findCheckpoint(out, METADATA.recipe), { name: "FormatError" });
    },
  );
});

Deno.test("a run that was interrupted in its last evaluation has the weights of one that was not", async () => {
  await using small = await openSmallTraining("noise");
  const sabwOf = async (folder: string) =>
    await Deno.readFile(small.temp.join(folder, "sabw/aggregator_24/aggregator.safetensors"));
  const changes = { evaluateEvery: 100, checkpointEvery: 100 };
  const whole = { ...changes, out: small.temp.join("whole") };
  const undisturbed = await collect(runOf(small, await small.openSabw(), whole));
  const controller = new AbortController();
  const { signal } = controller;
  const cancelled = runTraining(runOf(small, await small.openSabw(), { ...changes, signal }));
  await assert.rejects(async () => {
    for await (const event of cancelled) {
      if (event.event === "step" && event.step === 3) controller.abort();
    }
  }, { code: "CANCELLED" });
  const resumed = await findCheckpoint(small.temp.join("run"), METADATA.recipe);
  assert.equal(resumed.optimizer.updates, 3);
  const sabw = await small.openSabw(resumed.path);
  const { result } = await collect(runOf(small, sabw, { ...changes, resumed }));
  assert.deepEqual(result.heldOut, undisturbed.result.heldOut);
  assert.deepEqual(await sabwOf("run"), await sabwOf("whole"));
});

Deno.test("a run that loses its workers keeps the steps that were made", async () => {
  await using small = await openSmallTraining("noise");
  const sabw = await small.openSabw();
  const run = runOf(small, sabw, { checkpointEvery: 100, heldOut: [] });
  let isLost = false;
  const { experts } = run.ensemble;
  const losable = experts.map((expert) =>
    new Proxy(expert, {
      get(target, key) {
        if (isLost) throw new WorkerError("UNAVAILABLE", "the worker was lost");
        const value = Reflect.get(target, key);
        return typeof value === "function" ? value.bind(target) : value;
      },
    })
  );
  const events: string[] = [];
  await assert.rejects(async () => {
    for await (
      const { event, step } of runTraining({
        ...run,
        ensemble: { ...run.ensemble, experts: losable },
      })
    ) {
      events.push(`${event} ${step}`);
      isLost = step === 2;
    }
  }, { code: "UNAVAILABLE" });
  assert.deepEqual(events, ["step 1", "step 2", "checkpoint 2"]);
});

Deno.test("what is wrong with a run's folder is said before anything is opened", async () => {
  await using small = await openSmallTraining("noise");
  const out = small.temp.join("run");
  await checkRunFolder(out, false);
  await assert.rejects(checkRunFolder(out, true), { name: "FormatError" });
  await collect(runOf(small, await small.openSabw(), { steps: 1, heldOut: [] }));
  await checkRunFolder(out, true);
  await assert.rejects(checkRunFolder(out, false), { message: /has a run already/ });
});

Deno.test("a run ends when its patience does", async () => {
  await using small = await openSmallTraining("noise");
  const sabw = await small.openSabw();
  // Steps of this size leave every minimum.
  const adamw = { ...small.request(sabw).adamw, learningRate: 1e3 };
  const { result } = await collect(
    runOf(small, sabw, { steps: 50, adamw, evaluateEvery: 1, patience: 2, batch: 1 }),
  );
  assert.ok(result.isStoppedEarly && result.steps < 10, `${result.steps}`);
  const best = Math.min(...result.heldOut.map(({ loss }) => loss));
  assert.equal(result.heldOut.at(-3)!.loss, best);
});

Deno.test("--resume without a checkpoint says so", async () => {
  await assert.rejects(findCheckpoint("/nowhere", {}), { message: /needs a checkpoint in/ });
});
