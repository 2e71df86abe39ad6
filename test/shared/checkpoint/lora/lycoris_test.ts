/** LoHa, LoKr and DoRA: an expert with one is the expert whose weights were changed in f64, by the definitions. */

import assert from "node:assert/strict";
import type { LoraChoice } from "../../../../shared/checkpoint/lora/lora_choice.ts";
import { openLocalExpert } from "../../../../shared/engine/local_expert.ts";
import { f32, type F32Tensor, type Shape, type Tensor } from "../../../../shared/tensor/tensor.ts";
import {
  latentsFor,
  promptIds,
  randomTensor,
  sessionConfig,
} from "../../../support/expert_inputs.ts";
import { goldenExpert } from "../../../support/golden_expert.ts";
import { assertClose, assertFar } from "../../../support/goldens.ts";
import { type WeightEdit, writeEdited, writeLora } from "../../../support/lora_files.ts";
import { tempFolder } from "../../../support/temp_folder.ts";
import { SafetensorsFile } from "../../../../shared/safetensors/reader.ts";

const MODEL = goldenExpert("a");
const TOLERANCE = 1e-5;
const WEIGHT = 0.7;
const ALPHA = 1.5;
const RANK = 2;

/** Matrices, one of which a graph reads in two halves of its rows, and convolutions of 1 and 9 pixels. */
const PATHS: readonly string[] = [
  "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
  "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
  "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj",
  "mid_block.attentions.0.proj_out",
  "down_blocks.1.downsamplers.0.conv",
  "time_embedding.linear_1",
];

interface MadeLayer {
  readonly tensors: Record<string, Tensor>;
  /** The change of strength 1, `[M, K]` by rows. */
  readonly delta: Float64Array;
}

type Maker = (shape: Shape, seed: number) => MadeLayer;

/** `[M, r]` times `[r, K]` in f64. */
function product(up: F32Tensor, down: F32Tensor): Float64Array {
  const [rows = 0, rank = 0] = up.shape;
  const width = down.data.length / rank;
  return Float64Array.from({ length: rows * width }, (_, at) => {
    const [row, column] = [Math.floor(at / width), at % width];
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += up.data[row * rank + k]! * down.data[k * width + column]!;
    return sum;
  });
}

const small = (shape: Shape, seed: number): F32Tensor => {
  const { data } = randomTensor(shape, seed);
  return f32(shape, data.map((value) => value * 0.5));
};
const widthOf = (shape: Shape) => shape.slice(1).reduce((a, b) => a * b, 1);
const alpha = f32([], [ALPHA]);

const lora: Maker = (shape, seed) => {
  const ones = shape.slice(2).map(() => 1);
  const [up, down] = [
    small([shape[0]!, RANK, ...ones], seed),
    small([RANK, ...shape.slice(1)], seed + 1),
  ];
  return {
    tensors: { "lora_up.weight": up, "lora_down.weight": down, alpha },
    delta: product(up, down).map((value) => value * ALPHA / RANK),
  };
};

const loha: Maker = (shape, seed) => {
  const [a1, a2] = [0, 1].map((i) => small([shape[0]!, RANK], seed + i)) as [F32Tensor, F32Tensor];
  const [b1, b2] = [2, 3].map((i) => small([RANK, widthOf(shape)], seed + i)) as [
    F32Tensor,
    F32Tensor,
  ];
  const [first, second] = [product(a1, b1), product(a2, b2)];
  return {
    tensors: { hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2, alpha },
    delta: first.map((value, i) => value * second[i]! * ALPHA / RANK),
  };
};

/** Kronecker product of `[a, c]` and `[b, d * pixels]`, as `[a b, c d pixels]`. */
function kronecker(
  left: Float64Array,
  right: Float64Array,
  [a, c, b]: readonly number[],
): Float64Array {
  const d = right.length / b!;
  const result = new Float64Array(left.length * right.length);
  for (let i = 0; i < a!; i++) {
    for (let p = 0; p < b!; p++) {
      for (let j = 0; j < c!; j++) {
        for (let q = 0; q < d; q++) {
          result[((i * b! + p) * c! + j) * d + q] = left[i * c! + j]! * right[p * d + q]!;
        }
      }
    }
  }
  return result;
}

const lokr = (form: "whole" | "second in two" | "both in two"): Maker => (shape, seed) => {
  const [rows = 0, columns = 0, ...kernel] = shape;
  const [a, c] = [2, 4];
  const [b, d] = [rows / a, columns / c];
  const pixels = kernel.reduce((x, y) => x * y, 1);
  const tensors: Record<string, Tensor> = { alpha };
  const factor = (name: string, size: Shape, isWhole: boolean, at: number): Float64Array => {
    if (isWhole) {
      const whole = small(size, at);
      tensors[name] = whole;
      return Float64Array.from(whole.data);
    }
    const [up, down] = [small([size[0]!, RANK], at), small([RANK, widthOf(size)], at + 1)];
    Object.assign(tensors, { [`${name}_a`]: up, [`${name}_b`]: down });
    return product(up, down);
  };
  const left = factor("lokr_w1", [a, c], form !== "both in two", seed);
  const right = factor(
    "lokr_w2",
    form === "whole" ? [b, d, ...kernel] : [b, d * pixels],
    form === "whole",
    seed + 2,
  );
  // Of two whole matrices alpha means nothing.
  const scale = form === "whole" ? 1 : ALPHA / RANK;
  return { tensors, delta: kronecker(left, right, [a, c, b]).map((value) => value * scale) };
};

const weights = await SafetensorsFile.open(
  `${MODEL}/unet/diffusion_pytorch_model.safetensors`,
);

/** DoRA over a LoRA, with lengths of rows or of columns near the weight's own. */
const lengthsOf = (shape: Shape, axis: 0 | 1, seed: number): F32Tensor => {
  const count = shape[axis]!;
  const { data } = randomTensor([count], seed);
  const lengths = data.map((value) => 1 + 0.3 * Math.tanh(value));
  return f32(
    axis === 0
      ? [count, ...shape.slice(1).map(() => 1)]
      : [1, count, ...shape.slice(2).map(() => 1)],
    lengths,
  );
};

function dora(
  weight: Float64Array,
  shape: Shape,
  { delta }: MadeLayer,
  lengths: F32Tensor,
  axis: 0 | 1,
) {
  const [rows = 0, columns = 0] = shape;
  const width = widthOf(shape);
  const pixels = width / columns;
  const changed = weight.map((value, i) => value + delta[i]!);
  const indexOf = (at: number) =>
    axis === 0 ? Math.floor(at / width) : Math.floor(at % width / pixels);
  const squares = new Float64Array(axis === 0 ? rows : columns);
  changed.forEach((value, at) => squares[indexOf(at)]! += value * value);
  return weight.map((value, at) => {
    const scaled = changed[at]! * lengths.data[indexOf(at)]! / Math.sqrt(squares[indexOf(at)]!);
    return value + WEIGHT * (scaled - value);
  });
}

async function noise(model: string, loras: readonly LoraChoice[] = []): Promise<F32Tensor> {
  const expert = await openLocalExpert({ model, device: "cpu", lanes: 1, threads: 1, loras });
  try {
    await expert.encodeText(promptIds(expert.description));
    const config = await sessionConfig(expert);
    const session = await expert.openSession(config);
    const hiddenStates = latentsFor(expert.description, config);
    const range = { stepIndex: 0, first: "IN00", last: "OUT11", hiddenStates } as const;
    const { hiddenStates: result } = await session.forward(range);
    const copy = f32(result.shape, result.data.slice());
    await session.close();
    return copy;
  } finally {
    await expert.close();
  }
}

type Kind = readonly [name: string, make: Maker, axis?: 0 | 1];

const KINDS: readonly Kind[] = [
  ["LoHa", loha],
  ["LoKr of whole matrices", lokr("whole")],
  ["LoKr, one matrix in two", lokr("second in two")],
  ["LoKr, both in two", lokr("both in two")],
  ["DoRA of rows", lora, 0],
  ["DoRA of columns", lora, 1],
  ["DoRA over a LoHa", loha, 0],
];

for (const [name, make, axis] of KINDS) {
  Deno.test(`${name}: the expert is the one whose weights were changed in f64`, async () => {
    await using folder = await tempFolder();
    const tensors: Record<string, Tensor> = {};
    const edits: WeightEdit[] = [];
    for (const [i, path] of PATHS.entries()) {
      const { shape } = weights.entry(`${path}.weight`);
      const made = make(shape, 10 * i + 1);
      const lengths = axis === undefined ? undefined : lengthsOf(shape, axis, i);
      const all = { ...made.tensors, ...(lengths && { dora_scale: lengths }) };
      for (const [key, tensor] of Object.entries(all)) {
        tensors[`lora_unet_${path.replaceAll(".", "_")}.${key}`] = tensor;
      }
      const edit = (weight: Float64Array) =>
        lengths
          ? dora(weight, shape, made, lengths, axis!)
          : weight.map((value, at) => value + WEIGHT * made.delta[at]!);
      edits.push({ part: "unet", path, edit });
    }
    const lora = await writeLora(folder.join("style.safetensors"), tensors);
    const edited = await writeEdited(MODEL, folder.join("edited"), edits);
    const actual = await noise(MODEL, [{ path: lora, weight: WEIGHT }]);
    assertClose("noise", actual, await noise(edited), TOLERANCE);
    assertFar("noise", actual, await noise(MODEL), 10 * TOLERANCE);
  });
}

Deno.test("PEFT's DoRA names its lengths otherwise, and one of weight 0 changes nothing", async () => {
  await using folder = await tempFolder();
  const path = PATHS[0]!;
  const { shape } = weights.entry(`${path}.weight`);
  const [up, down] = [small([shape[0]!, RANK], 1), small([RANK, shape[1]!], 2)];
  const lengths = f32([shape[0]!], lengthsOf(shape, 0, 3).data);
  const write = (name: string, key: string) =>
    writeLora(folder.join(name), {
      [`unet.${path}.lora_B.weight`]: up,
      [`unet.${path}.lora_A.weight`]: down,
      [`unet.${path}.${key}`]: lengths,
    });
  const one = await write("one.safetensors", "lora_magnitude_vector");
  const two = await write("two.safetensors", "lora_magnitude_vector.weight");
  const [a, b] = [
    await noise(MODEL, [{ path: one, weight: 1 }]),
    await noise(MODEL, [{ path: two, weight: 1 }]),
  ];
  assert.deepEqual(a, b);
  assert.deepEqual(await noise(MODEL, [{ path: one, weight: 0 }]), await noise(MODEL));
  assertFar("noise", a, await noise(MODEL), 10 * TOLERANCE);
});

Deno.test("layers of another size, and lengths of another count, are named with their shapes", async () => {
  await using folder = await tempFolder();
  const path = PATHS[0]!;
  const { shape: [rows = 0, columns = 0] } = weights.entry(`${path}.weight`);
  const key = `lora_unet_${path.replaceAll(".", "_")}`;
  const refused = async (tensors: Record<string, Tensor>, message: RegExp) => {
    const file = await writeLora(folder.join("odd.safetensors"), tensors);
    await assert.rejects(noise(MODEL, [{ path: file, weight: 1 }]), {
      name: "FormatError",
      message,
    });
  };
  await refused(
    { [`${key}.lokr_w1`]: small([2, 2], 1), [`${key}.lokr_w2`]: small([rows, columns], 2) },
    /1 mis-shaped \(lora_unet_\w+ of \[2,2\], each with \[\d+,\d+\] for .*to_q\.weight/,
  );
  await refused(
    {
      [`${key}.lora_up.weight`]: small([rows, 2], 1),
      [`${key}.lora_down.weight`]: small([2, columns], 2),
      [`${key}.dora_scale`]: small([rows + 1, 1], 3),
    },
    /1 mis-shaped/,
  );
  await refused({ [`${key}.hada_w1_a`]: small([rows, 2], 1) }, /must be a LoRA/);
});
