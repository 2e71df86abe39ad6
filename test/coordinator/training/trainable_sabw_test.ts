import assert from "node:assert/strict";
import { SabwAggregator } from "../../../coordinator/sampling/methods/sabw/sabw_aggregator.ts";
import { writeTrainedSabw } from "../../../coordinator/training/checkpoint.ts";
import { initialSabw } from "../../../coordinator/training/initial_sabw.ts";
import { TrainableSabw } from "../../../coordinator/training/trainable_sabw.ts";
import { sabwParameters } from "../../../shared/models/sabw_training.ts";
import { ConfigFields } from "../../../shared/models/config/fields.ts";
import { parseSabwConfig } from "../../../shared/models/config/sabw_config.ts";
import { f32, type F32Tensor } from "../../../shared/tensor/tensor.ts";
import { randomTensor } from "../../support/expert_inputs.ts";
import { openGoldenExpert } from "../../support/golden_expert.ts";
import { assertClose, assertFar } from "../../support/goldens.ts";
import { tempFolder } from "../../support/temp_folder.ts";
import { SABW_FOLDER } from "../sampling/golden_ensemble.ts";

const CPU = { device: "cpu", threads: 1 } as const;

const EXPERTS = await (async () => {
  const expert = await openGoldenExpert("a");
  await expert.close();
  return { ...expert.description, numExperts: 2 };
})();

/** Of IN04: 32 channels. */
const FEATURES = [randomTensor([2, 32, 4, 6], 1), randomTensor([2, 32, 4, 6], 2)];
const CONDITIONING = {
  temb: randomTensor([2, 64], 3),
  encoderHiddenStates: randomTensor([2, 16, 24], 4),
};

const inner = (a: F32Tensor, b: F32Tensor) =>
  a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);

async function withSabw(use: (sabw: TrainableSabw) => Promise<void>): Promise<void> {
  const sabw = await TrainableSabw.open(SABW_FOLDER, EXPERTS, CPU);
  try {
    await use(sabw);
  } finally {
    await sabw.close();
  }
}

Deno.test("TrainableSabw aggregates as SabwAggregator does, and follows its weights", async () => {
  await withSabw(async (sabw) => {
    const frozen = await SabwAggregator.open(SABW_FOLDER, EXPERTS, CPU);
    const expected = await frozen.aggregate("IN04", FEATURES, CONDITIONING);
    await frozen.close();
    const before = await sabw.aggregate("IN04", FEATURES, CONDITIONING);
    assertClose("features", before.aggregatedFeatures, expected.aggregatedFeatures, 1e-6);
    assertClose("map", before.attentionMap!, expected.attentionMap!, 1e-6);

    sabw.parameters.get("IN04")!.get("conv_out.weight")!.data.fill(0);
    const after = await sabw.aggregate("IN04", FEATURES, CONDITIONING);
    assert.ok(after.attentionMap!.data.every((value) => value === 0.5));
    assertFar("features", after.aggregatedFeatures, before.aggregatedFeatures);
  });
});

Deno.test("TrainableSabw has the parameters that its config asks for", async () => {
  await withSabw(async (sabw) => {
    const file = `${SABW_FOLDER}/aggregator_4/config.json`;
    const shapes = sabwParameters(parseSabwConfig(await ConfigFields.read(file)));
    assert.equal(shapes.size, 59);
    const parameters = sabw.parameters.get("IN04")!;
    assert.deepEqual([...parameters.keys()].sort(), [...shapes.keys()].sort());
    for (const [key, { shape }] of parameters) assert.deepEqual(shape, shapes.get(key), key);
  });
});

Deno.test("TrainableSabw: gradients through features and map agree with finite differences", async () => {
  await withSabw(async (sabw) => {
    const gradFeatures = randomTensor([2, 32, 4, 6], 11);
    const gradMap = randomTensor([2, 2, 4, 6], 12);
    const gradients = await sabw.backward("IN04", FEATURES, CONDITIONING, gradFeatures, gradMap);
    const parameters = sabw.parameters.get("IN04")!;
    const value = async (features: readonly F32Tensor[]) => {
      const { aggregatedFeatures, attentionMap } = await sabw.aggregate(
        "IN04",
        features,
        CONDITIONING,
      );
      return inner(aggregatedFeatures, gradFeatures) + inner(attentionMap!, gradMap);
    };
    const quotient = async (at: (t: number) => Promise<number>, step: number) => {
      const near = await at(step) - await at(-step);
      const far = await at(2 * step) - await at(-2 * step);
      return (8 * near - far) / (12 * step);
    };
    // Rounding of f32 (1e-6 of sums of 1,500 terms) over the step decides, beside the fourth power of the step.
    const assertNear = (name: string, actual: number, expected: number) =>
      assert.ok(
        Math.abs(actual / expected - 1) < 5e-3 && Math.abs(actual) > 0.1,
        `${name}: ${actual} is not ${expected}`,
      );
    const direction = randomTensor([2, 32, 4, 6], 13);
    for (const i of [0, 1]) {
      const moved = (t: number) =>
        f32(FEATURES[i]!.shape, FEATURES[i]!.data.map((v, k) => v + t * direction.data[k]!));
      const expected = await quotient(
        (t) => value(FEATURES.map((feature, j) => i === j ? moved(t) : feature)),
        0.03,
      );
      assertNear(`features ${i}`, inner(gradients.gradFeatures[i]!, direction), expected);
    }

    // All weights at once, each by its own size.
    const originals = new Map([...parameters].map(([key, { data }]) => [key, data.slice()]));
    const along = new Map([...parameters].map(([key, parameter], i) => {
      const random = randomTensor(parameter.shape, 17 + i);
      const gain = Math.sqrt(inner(parameter, parameter) / inner(random, random));
      return [key, f32(parameter.shape, random.data.map((v) => gain * v))];
    }));
    const expected = await quotient((t) => {
      for (const [key, { data }] of parameters) {
        data.set(originals.get(key)!.map((v, k) => v + t * along.get(key)!.data[k]!));
      }
      return value(FEATURES);
    }, 0.01);
    const actual = [...along].reduce(
      (sum, [key, v]) => sum + inner(gradients.gradParameters.get(key)!, v),
      0,
    );
    assertNear("weights", actual, expected);
  });
});

Deno.test("TrainableSabw without a gradient of the map takes none from it", async () => {
  await withSabw(async (sabw) => {
    const gradFeatures = randomTensor([2, 32, 4, 6], 11);
    const [none, zero, some] = [
      await sabw.backward("IN04", FEATURES, CONDITIONING, gradFeatures),
      await sabw.backward("IN04", FEATURES, CONDITIONING, gradFeatures, f32([2, 2, 4, 6])),
      await sabw.backward(
        "IN04",
        FEATURES,
        CONDITIONING,
        gradFeatures,
        randomTensor([2, 2, 4, 6], 1),
      ),
    ];
    assert.deepEqual(none, zero);
    const key = "conv_out.weight";
    assertFar(key, some!.gradParameters.get(key)!, none!.gradParameters.get(key)!);
  });
});

Deno.test("TrainableSabw says which block has no aggregator, and which gradient is not finite", async () => {
  await withSabw(async (sabw) => {
    await assert.rejects(sabw.aggregate("OUT12", FEATURES, CONDITIONING), {
      code: "NOT_FOUND",
      message: 'SABW "sabw" has no aggregator for OUT12',
    });
    const poisoned = f32([2, 32, 4, 6], new Array(2 * 32 * 24).fill(NaN));
    await assert.rejects(sabw.backward("IN04", FEATURES, CONDITIONING, poisoned), {
      code: "DATA_LOSS",
      message: /^grad_features_0 of SABW IN04 must be finite/,
      details: { block: "IN04" },
    });
  });
});

Deno.test("a temperature is kept with the weights and flattens the map: each weight to the power of its inverse", async () => {
  await using temp = await tempFolder();
  const maps = await Promise.all([undefined, 4].map(async (temperature) => {
    const size = { hiddenSize: 8, numLayers: 1, numHeads: 2, ...(temperature && { temperature }) };
    const aggregators = initialSabw(EXPERTS, size, 3n);
    for (const { parameters } of aggregators) {
      const weight = parameters.get("conv_out.weight")!;
      weight.data.set(randomTensor(weight.shape, 5).data);
    }
    const folder = temp.join(String(temperature));
    const experts = [{ name: "a", modelHash: "a" }, { name: "b", modelHash: "b" }];
    const metadata = { experts, aggregatedBlocks: "all", recipe: {} } as const;
    await writeTrainedSabw(folder, { aggregators, metadata });
    const sabw = await SabwAggregator.open(folder, EXPERTS, CPU);
    try {
      return (await sabw.aggregate("IN04", FEATURES, CONDITIONING)).attentionMap!;
    } finally {
      await sabw.close();
    }
  }));
  const [plain, flat] = maps as [F32Tensor, F32Tensor];
  const pixels = 4 * 6;
  const flattened = plain.data.map((value, k) => {
    const other = k % (2 * pixels) < pixels ? k + pixels : k - pixels;
    return value ** 0.25 / (value ** 0.25 + plain.data[other]! ** 0.25);
  });
  assertClose("map", flat, f32(plain.shape, flattened), 1e-5);
  assertFar("weights", flat, plain);
});

Deno.test("SABW that is stored as f16 has half the bytes and, to f16's rounding, the same map", async () => {
  await using temp = await tempFolder();
  const aggregators = initialSabw(EXPERTS, { hiddenSize: 8, numLayers: 1, numHeads: 2 }, 3n);
  for (const { parameters } of aggregators) {
    const weight = parameters.get("conv_out.weight")!;
    weight.data.set(randomTensor(weight.shape, 5).data);
  }
  const experts = [{ name: "a", modelHash: "a" }, { name: "b", modelHash: "b" }];
  const metadata = { experts, aggregatedBlocks: "all", recipe: {} } as const;
  const written = async (dtype: "float32" | "float16") => {
    const folder = temp.join(dtype);
    await writeTrainedSabw(folder, { aggregators, metadata }, dtype);
    const { size } = await Deno.stat(`${folder}/aggregator_0/aggregator.safetensors`);
    const sabw = await SabwAggregator.open(folder, EXPERTS, CPU);
    try {
      const { attentionMap } = await sabw.aggregate("IN04", FEATURES, CONDITIONING);
      return { size, map: attentionMap! };
    } finally {
      await sabw.close();
    }
  };
  const [whole, half] = [await written("float32"), await written("float16")];
  assertClose("map", half.map, whole.map, 1e-3);
  assert.notDeepEqual(half.map.data, whole.map.data);
  assert.ok(half.size < 0.7 * whole.size, `${half.size} of ${whole.size}`);
});

Deno.test("an aggregator without space, timestep or text is blind to it, in training as in sampling", async () => {
  await using temp = await tempFolder();
  const size = { hiddenSize: 8, numLayers: 1, numHeads: 2 };
  const other = {
    temb: { ...CONDITIONING, temb: randomTensor([2, 64], 23) },
    text: { ...CONDITIONING, encoderHiddenStates: randomTensor([2, 16, 24], 24) },
  };
  for (const without of ["space", "timestep", "text"] as const) {
    const aggregators = initialSabw(EXPERTS, { ...size, without: [without] }, 3n);
    for (const { parameters } of aggregators) {
      const weight = parameters.get("conv_out.weight")!;
      weight.data.set(randomTensor(weight.shape, 5).data);
    }
    const metadata = { experts: [], aggregatedBlocks: "all", recipe: {} } as const;
    const experts = [{ name: "a", modelHash: "a" }, { name: "b", modelHash: "b" }];
    const folder = temp.join(without);
    await writeTrainedSabw(folder, { aggregators, metadata: { ...metadata, experts } });
    const [trained, frozen] = await Promise.all([
      TrainableSabw.open(folder, EXPERTS, CPU),
      SabwAggregator.open(folder, EXPERTS, CPU),
    ]);
    try {
      const mapOf = async (sabw: typeof trained | typeof frozen, conditioning = CONDITIONING) =>
        (await sabw.aggregate("IN04", FEATURES, conditioning)).attentionMap!;
      const map = await mapOf(trained);
      assertClose(`${without}: sampling`, await mapOf(frozen), map, 1e-5);
      const isFlat = map.data.slice(0, 24).every((value) => Math.abs(value - map.data[0]!) < 1e-6);
      assert.equal(isFlat, without === "space");
      assertFar(`${without}: weights`, map, f32(map.shape, map.data.map(() => 0.5)));
      for (
        const [what, conditioning] of [["timestep", other.temb], ["text", other.text]] as const
      ) {
        const changed = await mapOf(frozen, conditioning);
        if (what === without) assert.deepEqual(changed.data, (await mapOf(frozen)).data);
        else assertFar(`${without} sees ${what}`, changed, map);
      }
      const { gradParameters } = await trained.backward(
        "IN04",
        FEATURES,
        CONDITIONING,
        FEATURES[0]!,
      );
      const isDead = (key: string) => gradParameters.get(key)!.data.every((value) => value === 0);
      const embedding = "res_block.time_emb_proj.weight";
      const keys = "transformer.transformer_blocks.0.attn2.to_v.weight";
      assert.deepEqual([isDead(embedding), isDead(keys)], [
        without === "timestep",
        without === "text",
      ]);
    } finally {
      await Promise.all([trained.close(), frozen.close()]);
    }
  }
});
