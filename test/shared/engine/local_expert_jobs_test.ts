import assert from "node:assert/strict";
import type { ExpertSession, SessionConfig } from "../../../shared/engine/expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { copyTensor, type F32Tensor, sliceRows } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";

const STEPS = 3;
const SD15_BLOCKS = new AffineExpert().description.blocks.map(({ id }) => id);

/** Runs every block of all steps, each in a call of its own; the last block's results. */
async function runSteps(session: ExpertSession, latents: F32Tensor): Promise<F32Tensor[]> {
  const results = [];
  for (let stepIndex = 0; stepIndex < STEPS; stepIndex++) {
    let hiddenStates = latents;
    for (const block of SD15_BLOCKS) {
      const range = { stepIndex, first: block, last: block, hiddenStates };
      hiddenStates = copyTensor((await session.forward(range)).hiddenStates);
    }
    results.push(hiddenStates);
  }
  return results;
}

Deno.test("jobs that share a lane get the bits that each gets alone, also where their runs are joined", async () => {
  const expert = await openGoldenExpert();
  try {
    const pair = await sessionConfig(expert);
    const rows = (from: number, to: number, job: string): SessionConfig => ({
      ...pair,
      job,
      batch: to - from,
      encoderHiddenStates: sliceRows(pair.encoderHiddenStates, from, to),
    });
    const configs = [
      rows(0, 1, "a"),
      rows(1, 2, "a"),
      rows(0, 1, "b"),
      rows(0, 2, "c"),
      { ...rows(1, 2, "d"), height: 6, width: 4 },
    ];
    const latents = configs.map((config, i) => latentsFor(expert.description, config, i + 1));
    const alone = [];
    for (const [i, config] of configs.entries()) {
      const session = await expert.openSession(config);
      alone.push(await runSteps(session, latents[i]!));
      await session.close();
    }
    // A group of runs is joined after three meetings: several rounds see both.
    const sessions = await Promise.all(configs.map((config) => expert.openSession(config)));
    for (let round = 0; round < 3; round++) {
      const together = await Promise.all(
        sessions.map((session, i) => runSteps(session, latents[i]!)),
      );
      for (const [i, results] of together.entries()) {
        for (const [step, { data }] of results.entries()) {
          assert.ok(
            bitEqual(data, alone[i]![step]!.data),
            `round ${round}, session ${i}, step ${step}`,
          );
        }
      }
    }
  } finally {
    await expert.close();
  }
});

Deno.test("a session that is cancelled while it waits for the lane ends at once; the others and its next step go on", async () => {
  const expert = await openGoldenExpert();
  try {
    const config = await sessionConfig(expert);
    const [busy, waiting] = [await expert.openSession(config), await expert.openSession(config)];
    const range = { stepIndex: 0, first: "IN00", last: "OUT11" };
    const hiddenStates = latentsFor(expert.description, config);
    const ends: string[] = [];
    const runs = busy.forward({ ...range, hiddenStates }).finally(() => ends.push("busy"));
    const controller = new AbortController();
    const cancelled = waiting.forward({ ...range, hiddenStates }, controller.signal)
      .finally(() => ends.push("cancelled"));
    controller.abort();
    await assert.rejects(cancelled, { code: "CANCELLED" });
    const expected = copyTensor((await runs).hiddenStates);
    assert.deepEqual(ends, ["cancelled", "busy"]);
    const next = await waiting.forward({ ...range, hiddenStates });
    assert.ok(bitEqual(next.hiddenStates.data, expected.data));
  } finally {
    await expert.close();
  }
});
