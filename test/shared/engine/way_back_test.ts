import assert from "node:assert/strict";
import type { ExpertSession, SessionConfig } from "../../../shared/engine/expert.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { copyTensor, f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, randomTensor, sessionConfig } from "../../support/expert_inputs.ts";

const expert = new AffineExpert();
const ids = expert.description.blocks.map(({ id }) => id);

const openSession = async (changes: Partial<SessionConfig> = {}) =>
  await expert.openSession({ ...await sessionConfig(expert, 9), keepInputs: true, ...changes });

/** Runs a step in ranges that end with these blocks; the noise. */
async function forward(
  session: ExpertSession,
  ends: readonly string[] = ["OUT11"],
  stepIndex = 0,
): Promise<F32Tensor> {
  let hiddenStates = latentsFor(expert.description, await sessionConfig(expert, 9), stepIndex);
  let first = ids[0]!;
  for (const last of ends) {
    const result = await session.forward({ stepIndex, first, last, hiddenStates });
    hiddenStates = copyTensor(result.hiddenStates);
    first = ids[ids.indexOf(last) + 1]!;
  }
  return hiddenStates;
}

const GRAD_NOISE = randomTensor([2, 4, 9, 9], 3);

/** Goes back in ranges that begin with these blocks; the latents' gradient. */
async function goBack(
  session: ExpertSession,
  starts: readonly string[],
  stepIndex = 0,
): Promise<F32Tensor> {
  let gradOutput = GRAD_NOISE;
  let last = "OUT11";
  for (const first of starts) {
    const result = await session.backward!({ stepIndex, first, last, gradOutput });
    assert.equal(result.gradResiduals.size, 0);
    gradOutput = result.gradHiddenStates;
    last = ids[ids.indexOf(first) - 1]!;
  }
  return copyTensor(gradOutput);
}

Deno.test("a range's gradients do not depend on where the way back is cut", async () => {
  const session = await openSession();
  await forward(session);
  const whole = await goBack(session, ["IN00"]);
  assert.ok(whole.data.some((value) => value !== 0));
  // The gradients of skips wait in the session, over cuts and where the block that made them ends a range.
  for (
    const starts of [
      ["OUT00", "IN00"],
      ["OUT10", "OUT03", "IN09", "IN05", "IN00"],
      [...ids].reverse(),
    ]
  ) {
    const cut = await goBack(session, starts);
    assert.ok(bitEqual(cut.data, whole.data), starts.join());
  }
  await session.close();
});

Deno.test("gradientBuffer(): what is written there is taken from there, and comes out as from elsewhere", async () => {
  const session = await openSession();
  await forward(session);
  const range = { stepIndex: 0, first: "OUT03", last: "OUT11" };
  const one = await session.backward!({ ...range, gradOutput: GRAD_NOISE });
  const expected = copyTensor(one.gradHiddenStates);
  const buffer = session.gradientBuffer!(range)!;
  buffer.data.set(GRAD_NOISE.data);
  const two = await session.backward!({ ...range, gradOutput: buffer });
  assert.ok(bitEqual(two.gradHiddenStates.data, expected.data));
  await session.close();
});

Deno.test("the way back is refused out of order, with what may come, and then goes on", async () => {
  const session = await openSession();
  const back = (first: string, last: string, stepIndex = 0, gradOutput = GRAD_NOISE) =>
    session.backward!({ stepIndex, first, last, gradOutput });
  const refused = (
    promise: Promise<unknown>,
    message: string | RegExp,
    code = "FAILED_PRECONDITION",
  ) => assert.rejects(promise, { code, message });
  const unfinished =
    "The way back begins when all blocks of a step have run: current request is OUT11..OUT11 of step 0";
  await refused(back("OUT11", "OUT11"), unfinished);
  await forward(session, ["IN05", "OUT10"]);
  await refused(back("OUT11", "OUT11"), unfinished);
  await forward(session, ["IN05", "OUT10", "OUT11"]);

  await refused(
    back("OUT10", "OUT10"),
    /^Gradients go from the last block to the first: next is \.\.OUT11 of step 0: /,
  );
  await refused(
    back("OUT11", "OUT11", 1),
    /next is \.\.OUT11 of step 0: current request is OUT11\.\.OUT11 of step 1$/,
  );
  await refused(back("OUT10", "OUT11"), /must not cross OUT10, whose output left the session/);
  await refused(
    back("OUT12", "OUT11"),
    'first must be one of IN00..OUT11: current value is "OUT12"',
    "NOT_FOUND",
  );
  await refused(
    back("OUT11", "OUT11", 0, f32([2, 4, 9, 8])),
    /^grad_output must be float32 \[2, 4, 9, 9\]/,
    "INVALID_ARGUMENT",
  );
  await refused(
    back("OUT11", "OUT11", 0, f32([2, 4, 9, 9], new Array(648).fill(NaN))),
    /grad_hidden_states of affine OUT11 must be finite/,
    "DATA_LOSS",
  );

  const { gradHiddenStates, gradResiduals } = await back("OUT11", "OUT11");
  assert.deepEqual([...gradResiduals.keys()], []);
  const gradOutput = copyTensor(gradHiddenStates);
  await refused(
    back("OUT09", "OUT09"),
    /next is \.\.OUT10, or \.\.OUT11 to begin again, of step 0: current request is OUT09\.\.OUT09/,
  );
  const next = await back("IN06", "OUT10", 0, gradOutput);
  assert.deepEqual([...next.gradResiduals.keys()], ["IN05"], "the only skip that left the session");
  const expected = copyTensor(next.gradHiddenStates);
  await back("IN00", "IN05", 0, copyTensor(next.gradHiddenStates));
  // And once more from the end.
  await back("OUT11", "OUT11");
  const again = await back("IN06", "OUT10", 0, gradOutput);
  assert.ok(bitEqual(again.gradHiddenStates.data, expected.data));
  await session.close();
  await refused(back("OUT11", "OUT11"), "The session is closed");
});

Deno.test("a new step ends the way back of the one before, from the moment its input may be written", async () => {
  const session = await openSession();
  await forward(session);
  const range = { stepIndex: 0, first: "IN00", last: "OUT11" };
  await session.backward!({ ...range, gradOutput: GRAD_NOISE });
  session.inputBuffer({ stepIndex: 1, first: "IN00", last: "IN00" });
  await assert.rejects(session.backward!({ ...range, gradOutput: GRAD_NOISE }), {
    code: "FAILED_PRECONDITION",
    message: /^The way back begins when all blocks of a step have run/,
  });
  await forward(session, ["OUT11"], 1);
  await session.backward!({ ...range, stepIndex: 1, gradOutput: GRAD_NOISE });
  await session.close();
});

/** Runs `work` while the expert cannot differentiate this block. */
async function failingAt(block: string, work: () => Promise<unknown>): Promise<void> {
  const { backwardBlock } = expert;
  expert.backwardBlock = (request) =>
    request.block === block
      ? Promise.reject(new TuttiError("UNAVAILABLE", "No lane"))
      : backwardBlock.call(expert, request);
  try {
    await assert.rejects(work(), { code: "UNAVAILABLE" });
  } finally {
    expert.backwardBlock = backwardBlock;
  }
}

Deno.test("a range that fails half-way may be asked for again", async () => {
  const session = await openSession();
  await forward(session);
  const expected = await goBack(session, ["OUT04", "IN00"]);
  const upper = { stepIndex: 0, first: "OUT04", last: "OUT11", gradOutput: GRAD_NOISE };
  const half = copyTensor((await session.backward!(upper)).gradHiddenStates);
  const lower = { stepIndex: 0, first: "IN00", last: "OUT03", gradOutput: half };
  await failingAt("IN07", () => session.backward!(lower));
  const { gradHiddenStates } = await session.backward!(lower);
  assert.ok(bitEqual(gradHiddenStates.data, expected.data));

  // Gradients that waited for the lower blocks are overwritten by a new beginning, even if that fails.
  await session.backward!(upper);
  await failingAt("OUT08", () => session.backward!(upper));
  await assert.rejects(session.backward!(lower), { message: /next is \.\.OUT11 of step 0/ });
  await session.backward!(upper);
  const again = await session.backward!(lower);
  assert.ok(bitEqual(again.gradHiddenStates.data, expected.data));
  await session.close();
});

Deno.test("a session takes one range at a time, whichever way", async () => {
  const session = await openSession();
  await forward(session);
  const range = { stepIndex: 0, first: "IN00", last: "OUT11" };
  const going = session.backward!({ ...range, gradOutput: GRAD_NOISE });
  await assert.rejects(forward(session), {
    code: "FAILED_PRECONDITION",
    message: /^A session takes one range at a time: IN00\.\.OUT11 came before/,
  });
  await going;
  await session.close();
});

Deno.test("without kept inputs there is no way back", async () => {
  const session = await openSession({ keepInputs: false });
  await forward(session);
  const range = { stepIndex: 0, first: "OUT11", last: "OUT11", gradOutput: GRAD_NOISE };
  await assert.rejects(session.backward!(range), {
    code: "FAILED_PRECONDITION",
    message:
      "A session must be opened with keep_inputs to give gradients: this one keeps no inputs",
  });
  await forward(session);
  await session.close();
});
