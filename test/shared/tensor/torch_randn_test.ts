import assert from "node:assert/strict";
import { join } from "node:path";
import { difference } from "../../../shared/tensor/compare.ts";
import { elementCount } from "../../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../../shared/tensor/torch_randn.ts";

interface Golden {
  readonly source: string;
  readonly cases: readonly {
    readonly seed: number;
    readonly draws: readonly { readonly shape: number[]; readonly values: number[] }[];
  }[];
}

const golden: Golden = JSON.parse(
  await Deno.readTextFile(join(import.meta.dirname!, "../../goldens/torch_cpu_randn.json")),
);

for (const { seed, draws } of golden.cases) {
  const shapes = draws.map(({ shape }) => `[${shape}]`).join(" then ");
  Deno.test(`TorchCpuGenerator.randn() equals torch for seed ${seed}, ${shapes}`, () => {
    const generator = new TorchCpuGenerator(seed);
    for (const { shape, values } of draws) {
      const noise = generator.randn(shape);
      assert.deepEqual(noise.shape, shape);
      assert.equal(values.length, elementCount(shape));
      // Not bit-exact: torch's vectorised log, cos and sin round differently in the last place.
      const { maxAbs, relativeL2 } = difference(noise.data, values);
      assert(maxAbs <= 1e-6 && relativeL2 <= 1e-6, `max ${maxAbs}, relative L2 ${relativeL2}`);
    }
  });
}

Deno.test("TorchCpuGenerator gives another tensor for another seed and for the next draw", () => {
  for (const shape of [[4, 8, 8], [7]]) {
    const generator = new TorchCpuGenerator(1);
    const first = generator.randn(shape).data;
    assert(difference(generator.randn(shape).data, first).relativeL2 > 0.5);
    assert(difference(new TorchCpuGenerator(2).randn(shape).data, first).relativeL2 > 0.5);
    assert.deepEqual(new TorchCpuGenerator(1).randn(shape).data, first);
  }
});

Deno.test("TorchCpuGenerator keeps the second value of a pair for the next short draw", () => {
  const whole = new TorchCpuGenerator(3).randn([4]).data;
  const generator = new TorchCpuGenerator(3);
  assert.deepEqual([...generator.randn([1]).data, ...generator.randn([3]).data], [...whole]);
});

Deno.test("TorchCpuGenerator keeps the second value of a pair across a long draw", () => {
  const generator = new TorchCpuGenerator(3);
  const [first] = generator.randn([]).data;
  generator.randn([16]);
  assert.deepEqual([first, ...generator.randn([1]).data], [
    ...new TorchCpuGenerator(3).randn([2]).data,
  ]);
});

Deno.test("TorchCpuGenerator draws nothing for a tensor without elements", () => {
  const generator = new TorchCpuGenerator(4);
  assert.equal(generator.randn([3, 0]).data.length, 0);
  assert.deepEqual(generator.randn([32]), new TorchCpuGenerator(4).randn([32]));
});

Deno.test("TorchCpuGenerator draws values of mean 0 and variance 1", () => {
  const count = 1 << 18;
  const { data } = new TorchCpuGenerator(5).randn([count]);
  const mean = data.reduce((sum, x) => sum + x, 0) / count;
  const variance = data.reduce((sum, x) => sum + x * x, 0) / count;
  // Five standard errors: 1 / sqrt(count) and sqrt(2 / count).
  assert(Math.abs(mean) < 5 / Math.sqrt(count), `mean ${mean}`);
  assert(Math.abs(variance - 1) < 5 * Math.sqrt(2 / count), `variance ${variance}`);
});

Deno.test("TorchCpuGenerator takes seeds up to 2^64 - 1, of which the low 32 bits count", () => {
  const draw = (seed: bigint | number) => new TorchCpuGenerator(seed).randn([4]).data;
  assert.deepEqual(draw(2n ** 64n - 1n), draw(2 ** 32 - 1));
  assert.deepEqual(draw(2 ** 32 + 9), draw(9n));
});

for (const seed of [-1, -1n, 1.5, NaN, Infinity, 2 ** 53, 2n ** 64n]) {
  Deno.test(`TorchCpuGenerator refuses ${typeof seed} ${seed} as seed`, () => {
    assert.throws(() => new TorchCpuGenerator(seed), {
      name: "UsageError",
      message: `Seed must be a whole number from 0 to 2^64 - 1: current value is ${seed}`,
    });
  });
}

for (const shape of [[-1], [1.5], [NaN], [2 ** 20, 2 ** 20], [-4, -4]]) {
  Deno.test(`TorchCpuGenerator.randn() refuses shape [${shape}]`, () => {
    assert.throws(() => new TorchCpuGenerator(0).randn(shape), { name: "ShapeError" });
  });
}
