import assert from "node:assert/strict";
import {
  reweighted,
  type Reweighting,
  weightedSum,
} from "../../../../coordinator/sampling/methods/reweighted_attention.ts";
import { createMethod } from "../../../../coordinator/sampling/methods/methods.ts";
import { mean } from "../../../../shared/tensor/lincomb.ts";
import { softmax } from "../../../../shared/tensor/softmax.ts";
import { f32, type F32Tensor } from "../../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../../support/expert_inputs.ts";
import { assertClose } from "../../../support/goldens.ts";
import { openGoldenEnsemble } from "../golden_ensemble.ts";
import { run, SMALL_PICTURE, smallRequest } from "../small_run.ts";

const PLAIN: Reweighting = { temperature: 1, top: 3, without: null, bias: null };

/** Softmax over 3 experts at one pixel. */
const mapOf = (...logits: number[]) => f32([1, 3, 1, 1], softmax(f32([3], logits)).data);
const changed = (map: F32Tensor, changes: Partial<Reweighting>) =>
  reweighted(map, { ...PLAIN, ...changes });

Deno.test("reweighted() does to A what the same change of the logits would", () => {
  const [a, b, c] = [0.3, -1.2, 2];
  const cases: readonly (readonly [Partial<Reweighting>, readonly number[]])[] = [
    [{}, [a, b, c]],
    [{ temperature: 2 }, [a / 2, b / 2, c / 2]],
    [{ temperature: 0.5 }, [2 * a, 2 * b, 2 * c]],
    [{ bias: { expert: 1, value: 3 } }, [a, b + 3, c]],
    [{ without: 2 }, [a, b, -Infinity]],
    [{ top: 1 }, [-Infinity, -Infinity, c]],
    [{ top: 2 }, [a, -Infinity, c]],
  ];
  for (const [changes, logits] of cases) {
    assertClose(JSON.stringify(changes), changed(mapOf(a, b, c), changes), mapOf(...logits), 1e-6);
  }
});

Deno.test("weightedSum() weighs each pixel's channels alike", () => {
  const features = [f32([1, 2, 1, 2], [1, 2, 3, 4]), f32([1, 2, 1, 2], [10, 20, 30, 40])];
  const map = f32([1, 2, 1, 2], [1, 0.5, 0, 0.5]);
  assert.deepEqual([...weightedSum(features, map).data], [1, 11, 3, 22]);
  const random = [randomTensor([2, 3, 4, 4], 1), randomTensor([2, 3, 4, 4], 2)];
  const even = f32([2, 2, 4, 4], new Array(64).fill(0.5));
  assertClose("even weights", weightedSum(random, even), mean(random), 1e-6);
});

Deno.test("afa with a temperature that grows becomes the average; at 1 it is AFA; without an expert it is the other", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a, experts } = ensemble;
  const aggregator = await ensemble.openSabw();
  const prompts = {
    promptIds: [[298, 5, 17, 3, ...new Array(12).fill(299)]],
    negativePromptIds: [[298, ...new Array(15).fill(299)]],
  };
  const play = (text: string, of = experts) =>
    run(smallRequest(of, prompts, {
      method: createMethod(text, {
        experts: of.map((_, i) => `expert-${i}`),
        blocks: a.description.blocks,
        sabw: { aggregator, hash: "", aggregatedBlocks: "all" },
        guidanceScale: 5,
        sampler: { name: "ddim" },
        picture: SMALL_PICTURE,
      }),
    }));
  assertClose("temperature", await play("afa:temperature=1000000"), await play("average"), 1e-5);
  assertClose("a bias of nothing", await play("afa:bias=expert-1:1e-9"), await play("afa"), 1e-5);
  assertClose("without", await play("afa:without=expert-1"), await play("average", [a]), 1e-5);
});
