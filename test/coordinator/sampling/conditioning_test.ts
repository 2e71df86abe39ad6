import assert from "node:assert/strict";
import { encodeConditioning } from "../../../coordinator/sampling/conditioning.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { mean } from "../../../shared/tensor/lincomb.ts";
import { i64, sliceRows } from "../../../shared/tensor/tensor.ts";
import { assertClose } from "../../support/goldens.ts";
import { openGoldenEnsemble } from "./golden_ensemble.ts";

const ROW = [298, 5, 17, ...new Array(13).fill(299)];
const OTHER = ROW.with(1, 7);

Deno.test("every expert sees its own text states; SABW sees the means of text states and time embeddings", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { experts } = ensemble;
  const timesteps = [751, 501, 1];
  const conditioning = await encodeConditioning(experts, [ROW, OTHER], timesteps);
  const ids = i64([2, 16], [...ROW, ...OTHER]);
  const texts = await Promise.all(experts.map((expert) => expert.encodeText(ids)));
  texts.forEach(({ lastHiddenState }, i) => {
    assertClose(
      `text of expert ${i}`,
      conditioning.experts[i]!.encoderHiddenStates,
      lastHiddenState,
      1e-6,
    );
  });
  const tembs = await Promise.all(experts.map((expert) => expert.embedTimesteps(timesteps)));
  timesteps.forEach((_, stepIndex) => {
    const { temb, encoderHiddenStates } = conditioning.at!(stepIndex);
    const states = texts.map(({ lastHiddenState }) => lastHiddenState);
    assertClose("mean of text states", encoderHiddenStates, mean(states), 1e-6);
    assert.deepEqual(temb.shape, [2, 64]);
    for (const row of [0, 1]) {
      const expected = sliceRows(mean(tembs), stepIndex, stepIndex + 1);
      assertClose(`temb of step ${stepIndex}`, sliceRows(temb, row, row + 1), expected, 1e-6);
    }
  });
});

Deno.test("equal rows are encoded once, and are equal to the bit", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a } = ensemble;
  const encoded: (readonly number[])[] = [];
  const counting: Expert = {
    description: a.description,
    encodeText: (ids) => {
      encoded.push(ids.shape);
      return a.encodeText(ids);
    },
    embedTimesteps: (timesteps) => a.embedTimesteps(timesteps),
    openSession: (config) => a.openSession(config),
    close: () => a.close(),
  };
  const { experts: [{ encoderHiddenStates: states } = { encoderHiddenStates: undefined }] } =
    await encodeConditioning(
      [counting],
      [ROW, OTHER, ROW, OTHER],
      [1],
    );
  assert.deepEqual(encoded, [[2, 16]]);
  assert.deepEqual(states!.shape, [4, 16, 24]);
  assert.ok(bitEqual(sliceRows(states!, 0, 2).data, sliceRows(states!, 2, 4).data));
  assert.ok(!bitEqual(sliceRows(states!, 0, 1).data, sliceRows(states!, 1, 2).data));
});
