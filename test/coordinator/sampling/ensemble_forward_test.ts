import assert from "node:assert/strict";
import { UniformAggregator } from "../../../coordinator/sampling/aggregation.ts";
import { aggregationPlan } from "../../../coordinator/sampling/aggregation_plan.ts";
import {
  ensembleForward,
  type SegmentReport,
} from "../../../coordinator/sampling/ensemble_forward.ts";
import type { Expert } from "../../../shared/engine/expert.ts";
import { bitEqual } from "../../../shared/tensor/compare.ts";
import { mean } from "../../../shared/tensor/lincomb.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { AffineExpert } from "../../support/affine_expert.ts";
import { latentsFor, sessionConfig } from "../../support/expert_inputs.ts";
import { assertClose, assertFar, Golden } from "../../support/goldens.ts";
import { Hold } from "../../support/hold.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { afaInputs, forwardOnce, openGoldenEnsemble } from "./golden_ensemble.ts";
import { FIRST_EXPERT_ONLY, writeSabw, ZERO_CONV_OUT } from "./methods/sabw_folder.ts";
import { keepResults } from "../../support/keep_results.ts";

Deno.test("AFA: every aggregated block, attention map and the noise agree with the reference", async () => {
  await using ensemble = await openGoldenEnsemble();
  const inputs = await afaInputs();
  const computed = await forwardOnce(ensemble.experts, await ensemble.openSabw(), inputs);
  const names = inputs.golden.names.filter((name) => /^(block|map)\.|^eps$/.test(name));
  assert.equal(names.length, 51, "25 blocks, 25 maps, eps");
  for (const name of names) assertClose(name, computed.get(name)!, inputs.golden.f32(name));
});

Deno.test("ablations: block-wise average, noise average, SABW on the last block only", async () => {
  await using ensemble = await openGoldenEnsemble();
  const [inputs, sabw] = [await afaInputs(), await ensemble.openSabw()];
  const golden = await Golden.read("sd15", "expected", "ablations.safetensors");
  const uniform = new UniformAggregator();
  const results: F32Tensor[] = [];
  for (
    const [name, aggregator, blocks] of [
      ["block_wise_average", uniform, "all"],
      ["noise_average", uniform, "noise"],
      ["last_block_only", sabw, "noise"],
    ] as const
  ) {
    const computed = await forwardOnce(ensemble.experts, aggregator, inputs, blocks);
    assertClose(name, computed.get("eps")!, golden.f32(name));
    results.push(computed.get("eps")!);
  }
  // The knobs turn something: no two of them, nor AFA itself, agree.
  results.push(inputs.golden.f32("eps"));
  results.forEach((a, i) =>
    results.slice(i + 1).forEach((b, j) => assertFar(`${i} and ${i + 1 + j}`, a, b, 1e-3))
  );
});

Deno.test("N = 1 equals the plain U-Net, bit for bit: uniform and SABW", async () => {
  await using temp = await tempFolder();
  await using ensemble = await openGoldenEnsemble();
  const inputs = await afaInputs();
  const [batch = 0, , height = 0, width = 0] = inputs.x.shape;
  const session = keepResults(
    await ensemble.a.openSession({
      batch,
      height,
      width,
      encoderHiddenStates: inputs.texts[0]!,
      timesteps: inputs.timesteps,
    }),
  );
  const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates: inputs.x };
  const { hiddenStates: plain } = await session.forward(range);
  await session.close();

  const sabw = await ensemble.openSabw(await writeSabw(temp, "one", FIRST_EXPERT_ONLY), 1);
  for (const aggregator of [new UniformAggregator(), sabw]) {
    const computed = await forwardOnce([ensemble.a], aggregator, inputs);
    assert.ok(bitEqual(computed.get("eps")!.data, plain.data), aggregator.name);
  }
});

Deno.test("SABW whose conv_out is zero equals block-wise averaging, with even maps", async () => {
  await using temp = await tempFolder();
  await using ensemble = await openGoldenEnsemble();
  const inputs = await afaInputs();
  const zero = await ensemble.openSabw(await writeSabw(temp, "zero", ZERO_CONV_OUT));
  const untrained = await forwardOnce(ensemble.experts, zero, inputs);
  const averaged = await forwardOnce(ensemble.experts, new UniformAggregator(), inputs);
  for (const [name, expected] of averaged) {
    assertClose(name, untrained.get(name)!, expected, 1e-6);
  }
  for (const [name, map] of untrained) {
    if (name.startsWith("map.")) assert.ok(map.data.every((value) => value === 0.5), name);
  }
});

Deno.test("identical experts give the single model, whatever SABW says", async () => {
  await using ensemble = await openGoldenEnsemble();
  const { a } = ensemble;
  const inputs = await afaInputs();
  const [text] = inputs.texts;
  const single = (await forwardOnce([a], new UniformAggregator(), inputs)).get("eps")!;
  const twins = { ...inputs, texts: [text!, text!, text!] };
  const uniform = await forwardOnce([a, a, a], new UniformAggregator(), twins);
  assertClose("three under the mean", uniform.get("eps")!, single, 1e-6);
  const sabw = await forwardOnce([a, a], await ensemble.openSabw(), twins);
  assertClose("two under SABW", sabw.get("eps")!, single, 1e-6);
  const map = sabw.get("map.IN05")!;
  assertFar("the map", map, f32(map.shape, map.data.map(() => 0.5)), 1e-3);
});

Deno.test("attention maps sum to 1 over the experts and follow their order", async () => {
  await using ensemble = await openGoldenEnsemble();
  const [inputs, sabw] = [await afaInputs(), await ensemble.openSabw()];
  const computed = await forwardOnce(ensemble.experts, sabw, inputs);
  for (const [name, { shape, data }] of computed) {
    if (!name.startsWith("map.")) continue;
    const pixels = shape[2]! * shape[3]!;
    for (let i = 0; i < pixels; i++) {
      assert.ok(Math.abs(data[i]! + data[pixels + i]! - 1) < 1e-6, `${name}, pixel ${i}`);
    }
  }
  // SABW is trained for an order: swapping the experts is another ensemble.
  const swapped = { ...inputs, texts: inputs.texts.toReversed() };
  const other = await forwardOnce([ensemble.b, ensemble.a], sabw, swapped);
  assertFar("swapped experts", other.get("eps")!, computed.get("eps")!, 1e-3);
  const even = await forwardOnce([ensemble.b, ensemble.a], new UniformAggregator(), swapped);
  const same = await forwardOnce(ensemble.experts, new UniformAggregator(), inputs);
  assertClose("the mean knows no order", even.get("eps")!, same.get("eps")!, 1e-6);
});

/** What `ensembleForward()` needs of experts that do not compute much. */
async function passOf(experts: readonly Expert[]) {
  const config = await sessionConfig(experts[0]!);
  const sessions = await Promise.all(experts.map((expert) => expert.openSession(config)));
  return {
    sessions,
    plan: aggregationPlan(experts[0]!.description.blocks),
    aggregation: {
      aggregator: new UniformAggregator(),
      conditioning: {
        temb: f32([config.batch, experts[0]!.description.timeEmbedDim]),
        encoderHiddenStates: config.encoderHiddenStates,
      },
    },
    stepIndex: 0,
    latentModelInput: latentsFor(experts[0]!.description, config),
  };
}

Deno.test("reports: each segment in order, with bytes and times of every expert", async () => {
  const experts = [new AffineExpert(), new AffineExpert({ gains: { IN00: 3 } })];
  const pass = await passOf(experts);
  const reports: SegmentReport[] = [];
  await ensembleForward({ ...pass, onSegment: (report) => reports.push(report) });
  assert.deepEqual(reports.map(({ first, last }) => ({ first, last })), pass.plan);
  const [first] = reports;
  assert.equal(first!.stepIndex, 0);
  assert.deepEqual(
    first!.experts.map(({ roundTripMs: _, ...rest }) => rest),
    [0, 1].map(() => ({
      ...{ plane: "local", sentBytes: 0, receivedBytes: 0 },
      ...{ computeMs: 1.5, queueMs: 0.5, loadMs: 0 },
    })),
  );
  assert.ok(first!.experts.every(({ roundTripMs }) => roundTripMs >= 0) && first!.aggregateMs >= 0);
  assert.equal(first!.attentionMap, undefined);
});

Deno.test("the calls of one block go out at the same time", async () => {
  const holds = [new Hold("IN04"), new Hold("IN04")];
  const pass = await passOf(holds.map(({ beforeBlock }) => new AffineExpert({ beforeBlock })));
  const running = ensembleForward(pass);
  // Were the second asked after the first, it would never be reached while the first is held.
  await Promise.all(holds.map(({ reached }) => reached));
  for (const hold of holds) hold.release();
  await running;
});

Deno.test("an expert that fails cancels the calls of the others, and its error is the one reported", async () => {
  const hold = new Hold("M00");
  const patient = new AffineExpert({ beforeBlock: hold.beforeBlock });
  const broken = new AffineExpert({
    gains: { M00: NaN },
    beforeBlock: (block) => block === "M00" ? hold.reached : Promise.resolve(),
  });
  for (const experts of [[patient, broken], [broken, patient]]) {
    // The patient expert is never let go: only being cancelled ends its call.
    await assert.rejects(ensembleForward(await passOf(experts)), {
      code: "DATA_LOSS",
      message: /^Output of affine M00 must be finite/,
    });
  }
});

Deno.test("a signal that fires between two blocks, or during one, ends the pass as CANCELLED", async () => {
  const hold = new Hold("IN06");
  const controllers = [new AbortController(), new AbortController()];
  const between = await passOf([new AffineExpert(), new AffineExpert()]);
  const blocks: string[] = [];
  await assert.rejects(
    ensembleForward({
      ...between,
      signal: controllers[0]!.signal,
      onSegment: ({ last }) => {
        blocks.push(last);
        if (last === "IN02") controllers[0]!.abort();
      },
    }),
    { code: "CANCELLED" },
  );
  assert.deepEqual(blocks, ["IN00", "IN01", "IN02"]);
  const during = await passOf([new AffineExpert({ beforeBlock: hold.beforeBlock })]);
  const running = ensembleForward({ ...during, signal: controllers[1]!.signal });
  await hold.reached;
  controllers[1]!.abort();
  await assert.rejects(running, { code: "CANCELLED" });
});

Deno.test("without an aggregator whole experts run, each to its own noise; blocks between need one", async () => {
  const experts = [new AffineExpert(), new AffineExpert({ gains: { IN00: 3 } })];
  const { aggregation: _, ...pass } = await passOf(experts);
  const plan = aggregationPlan(experts[0]!.description.blocks, "noise");
  const reports: SegmentReport[] = [];
  const noises = await ensembleForward({ ...pass, plan, onSegment: (each) => reports.push(each) });
  assert.deepEqual(reports.map(({ features }) => features.length), [2]);
  assert.equal(reports[0]!.aggregatedFeatures, undefined);
  for (const [i, expert] of experts.entries()) {
    const alone = await ensembleForward({ ...await passOf([expert]), plan });
    assert.ok(bitEqual(noises[i]!.data, alone[0]!.data), `expert ${i}`);
  }
  await assert.rejects(ensembleForward(pass), {
    name: "ShapeError",
    message: "Blocks of 2 experts need an aggregator after IN00",
  });
});

Deno.test("UniformAggregator is the mean over the experts", async () => {
  const features = [
    f32([1, 1, 1, 2], [1, 2]),
    f32([1, 1, 1, 2], [3, 8]),
    f32([1, 1, 1, 2], [5, -1]),
  ];
  const { aggregatedFeatures } = await new UniformAggregator().aggregate("IN00", features);
  assert.deepEqual(aggregatedFeatures, mean(features));
  assert.deepEqual([...aggregatedFeatures.data], [3, 3]);
});
