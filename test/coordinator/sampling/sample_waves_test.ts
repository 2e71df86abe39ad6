import assert from "node:assert/strict";
import type { SegmentReport } from "../../../coordinator/sampling/ensemble_forward.ts";
import type { SampleRequest } from "../../../coordinator/sampling/sample.ts";
import type { Expert, SessionConfig } from "../../../shared/engine/expert.ts";
import { TuttiError } from "../../../shared/errors.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { concatRows, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { assertClose } from "../../support/goldens.ts";
import { eventually, serveExpert } from "../../support/serve_expert.ts";
import { openGoldenEnsemble } from "./golden_ensemble.ts";
import { methodOf, run, smallRequest } from "./small_run.ts";

const IMAGES = 2;
const goldenIds = (
  ...words: number[]
) => [298, ...words, ...new Array(15 - words.length).fill(299)];
const affineIds = (...words: number[]) => [98, ...words, ...new Array(6 - words.length).fill(99)];

/** Two images with guidance: four rows, no two of them alike. */
function request(
  experts: readonly Expert[],
  ids: (...words: number[]) => number[],
  changes: Partial<SampleRequest> = {},
): SampleRequest {
  const prompts = { promptIds: [ids(5, 17, 3), ids(9)], negativePromptIds: [ids(), ids(7, 7)] };
  return smallRequest(experts, prompts, changes);
}

Deno.test("waves change the time and not the image: 1, 2 and 4 waves, in this process and through workers", async () => {
  await using ensemble = await openGoldenEnsemble();
  const method = methodOf(ensemble.experts, await ensemble.openSabw());
  await using workerA = await serveExpert(ensemble.a);
  await using workerB = await serveExpert(ensemble.b);
  const remote = [workerA.remote, workerB.remote];
  const whole = await run(request(ensemble.experts, goldenIds, { method }));
  for (const waves of [1, 2, 4]) {
    const local = await run(request(ensemble.experts, goldenIds, { method, waves }));
    // These sizes give equal bits; kernels may sum the rows of a larger batch in another order.
    assertClose(`${waves} waves`, local, whole, 1e-6);
    const travelled = await run(request(remote, goldenIds, { method, waves }));
    assert.ok(bitEqual(travelled.data, local.data), `${waves} waves through workers`);
  }
});

Deno.test("rows that are computed independently give the same bits in any number of waves", async () => {
  const experts = [new AffineExpert(), new AffineExpert({ gains: { IN05: 0.5 } })];
  const whole = await run(request(experts, affineIds));
  for (const waves of [2, 3, 4, 9]) {
    const split = await run(request(experts, affineIds, { waves }));
    assert.ok(bitEqual(split.data, whole.data), `${waves} waves`);
  }
});

Deno.test("SABW looks at the text and time of a wave's own rows", async () => {
  await using ensemble = await openGoldenEnsemble();
  const sabw = await ensemble.openSabw();
  /** Maps of the last block by first row, in row order. */
  const mapsOf = async (waves: number): Promise<F32Tensor> => {
    const maps: SegmentReport[] = [];
    const onSegment = (report: SegmentReport) => {
      if (report.last === "OUT11" && report.stepIndex === 1) maps.push(report);
    };
    await run(request(ensemble.experts, goldenIds, {
      method: methodOf(ensemble.experts, sabw),
      waves,
      onSegment,
    }));
    maps.sort((a, b) => a.firstRow - b.firstRow);
    return concatRows(maps.map(({ attentionMap }) => attentionMap!));
  };
  const whole = await mapsOf(1);
  for (const waves of [2, 4]) assertClose(`${waves} waves`, await mapsOf(waves), whole, 1e-6);
});

Deno.test("each wave has a session of its rows on every expert, all of one job, and reports its rows", async () => {
  const opened: SessionConfig[] = [];
  const expert = new AffineExpert();
  const open = expert.openSession.bind(expert);
  expert.openSession = (config) => {
    opened.push(config);
    return open(config);
  };
  const rows = new Set<string>();
  const onSegment = ({ stepIndex, last, firstRow, aggregatedFeatures }: SegmentReport) => {
    rows.add(`${stepIndex} ${last} ${firstRow}+${aggregatedFeatures!.shape[0]}`);
  };
  await run(request([expert, expert], affineIds, { waves: 3, onSegment }));
  assert.deepEqual(opened.map(({ batch }) => batch), [1, 1, 1, 1, 2, 2]);
  assert.deepEqual(opened.map(({ encoderHiddenStates: e }) => e.shape[0]), [1, 1, 1, 1, 2, 2]);
  assert.equal(new Set(opened.map(({ job }) => job)).size, 1);
  assert.equal(rows.size, 2 * 25 * 3);
  for (const part of ["0+1", "1+1", "2+2"]) assert.ok(rows.has(`1 M00 ${part}`), part);
  const [{ job }] = opened as [SessionConfig];
  await run(request([expert], affineIds));
  assert.notEqual(opened.at(-1)!.job, job, "another run is another job");
  await run(request([expert], affineIds, { job: "mine" }));
  assert.equal(opened.at(-1)!.job, "mine");
});

/**
 * Two waves on one expert: the `held`-th call of M00 in each step waits until another wave has finished the step's
 * last block.
 */
function interleaved(held: number): AffineExpert {
  let calls = 0;
  let overtaken = Promise.withResolvers<void>();
  return new AffineExpert({
    beforeBlock: async (block) => {
      if (block === "M00" && calls++ % 2 === held) {
        await overtaken.promise;
        overtaken = Promise.withResolvers();
      }
      if (block === "OUT11") overtaken.resolve();
    },
  });
}

Deno.test("the image does not depend on which wave overtakes which", async () => {
  const whole = await run(request([new AffineExpert()], affineIds));
  for (const held of [0, 1]) {
    const order: number[] = [];
    const onSegment = ({ last, firstRow }: SegmentReport) => {
      if (last === "OUT11") order.push(firstRow);
    };
    const image = await run(request([interleaved(held)], affineIds, { waves: 2, onSegment }));
    const first = held === 0 ? IMAGES : 0;
    assert.deepEqual(order, [first, IMAGES - first, first, IMAGES - first]);
    assert.ok(bitEqual(image.data, whole.data), `wave ${held} was overtaken`);
  }
});

/** An expert whose second wave fails at M00 while the first one waits there for its signal. */
function failing(): AffineExpert {
  let calls = 0;
  return new AffineExpert({
    beforeBlock: (block, signal) => {
      if (block !== "M00") return Promise.resolve();
      if (++calls === 2) return Promise.reject(new TuttiError("DATA_LOSS", "the second wave"));
      return new Promise((resolve) => signal!.addEventListener("abort", () => resolve()));
    },
  });
}

Deno.test("a wave that fails cancels the others, and every session is closed", async () => {
  const experts = [failing(), new AffineExpert()];
  await assert.rejects(run(request(experts, affineIds, { waves: 2 })), {
    code: "DATA_LOSS",
    message: "the second wave",
  });
  assert.deepEqual(experts.map(({ openSessions }) => openSessions), [0, 0]);
});

Deno.test("a wave that fails on a worker cancels the others and leaves no session there", async () => {
  const expert = failing();
  await using served = await serveExpert(expert);
  await assert.rejects(run(request([served.remote], affineIds, { waves: 2 })), {
    code: "DATA_LOSS",
    message: /the second wave/,
  });
  // A cancelled stream ends on the worker when the news arrives there.
  await eventually(() => expert.openSessions === 0);
});

Deno.test("a fired signal ends all waves as CANCELLED, with all sessions closed", async () => {
  const experts = [new AffineExpert(), new AffineExpert()];
  const controller = new AbortController();
  const cancelled = request(experts, affineIds, {
    waves: 4,
    signal: controller.signal,
    onSegment: ({ stepIndex, last, firstRow }) => {
      if (stepIndex === 1 && last === "IN01" && firstRow === 2) controller.abort();
    },
  });
  await assert.rejects(run(cancelled), { code: "CANCELLED" });
  assert.deepEqual(experts.map(({ openSessions }) => openSessions), [0, 0]);
});

Deno.test("an expert that refuses one wave's session leaves none open", async () => {
  const [willing, refusing] = [new AffineExpert(), new AffineExpert()];
  const open = refusing.openSession.bind(refusing);
  let asked = 0;
  refusing.openSession = (config) =>
    ++asked === 3 ? Promise.reject(new TuttiError("RESOURCE_EXHAUSTED", "full")) : open(config);
  const experts = [willing, refusing];
  await assert.rejects(run(request(experts, affineIds, { waves: 4 })), {
    code: "RESOURCE_EXHAUSTED",
  });
  assert.equal(asked, 4);
  assert.deepEqual(experts.map(({ openSessions }) => openSessions), [0, 0]);
});
