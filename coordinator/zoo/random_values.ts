/**
 * Random weights by the gigabyte: one block of standard normal values, drawn once from the seed, is laid over each
 * tensor as tiles that begin at offsets drawn from the seed and the tensor's key. Equal seeds give equal values in every
 * file layout; another dtype rounds the same values.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { type DType, DTYPES } from "../../shared/tensor/dtype.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../shared/tensor/half.ts";
import {
  elementCount,
  f32,
  makeTensor,
  type Shape,
  type Tensor,
} from "../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";

export type FloatDType = Extract<DType, "float32" | "float16" | "bfloat16">;

interface Distribution {
  readonly mean: number;
  readonly std: number;
}

/** A prime, so that the rows of a matrix never repeat at the distance of a tile. */
const BLOCK_LENGTH = 524_287;

/** Standard deviation of a weight times the square root of its inputs: a layer's output is then a little smaller than its input. */
const GAIN = 0.8;
/** How far norms' scales and all biases are from those of an untrained model. */
const SPREAD = 0.02;

export class RandomValues {
  readonly #seed: bigint;
  readonly #dtype: FloatDType;
  readonly #normal: Float32Array;
  /** The block as the values of one distribution in the file's dtype. There are some forty in a model. */
  readonly #blocks = new Map<string, Tensor>();

  constructor(seed: bigint, dtype: FloatDType) {
    this.#seed = seed;
    this.#dtype = dtype;
    this.#normal = new TorchCpuGenerator(seed).randn([BLOCK_LENGTH]).data;
  }

  /** The values of a tensor in order, in pieces; views of memory that must not be written to. */
  *pieces(key: string, shape: Shape): Generator<Tensor> {
    const block = this.#block(distribution(key, shape));
    let left = elementCount(shape);
    for (let tile = 0; left > 0; tile++) {
      const offset = this.#offset(key, tile);
      // From the offset to the block's end, then from its start up to the offset.
      for (const [start, end] of [[offset, BLOCK_LENGTH], [0, offset]] as const) {
        const data = block.data.subarray(start, Math.min(end, start + left));
        if (data.length === 0) continue;
        left -= data.length;
        yield { dtype: this.#dtype, shape: [data.length], data } as Tensor;
      }
    }
  }

  /** The transpose of a matrix, as one piece. */
  transposed(key: string, shape: Shape): Tensor {
    const [rows = 0, columns = 0] = shape;
    const matrix = this.#allocate(rows * columns);
    let filled = 0;
    for (const { data } of this.pieces(key, shape)) {
      matrix.set(data as Float32Array, filled);
      filled += data.length;
    }
    const result = this.#allocate(rows * columns);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        result[column * rows + row] = matrix[row * columns + column]!;
      }
    }
    return { dtype: this.#dtype, shape: [columns, rows], data: result } as Tensor;
  }

  #allocate(count: number): Float32Array | Uint16Array {
    return new DTYPES[this.#dtype].array(count);
  }

  #block({ mean, std }: Distribution): Tensor {
    const name = `${mean} ${std}`;
    let block = this.#blocks.get(name);
    if (!block) {
      block = encode(f32([BLOCK_LENGTH], this.#normal.map((z) => mean + std * z)), this.#dtype);
      this.#blocks.set(name, block);
    }
    return block;
  }

  #offset(key: string, tile: number): number {
    const digest = createHash("sha256").update(`${this.#seed} ${key} ${tile}`).digest();
    return digest.readUInt32LE(0) % BLOCK_LENGTH;
  }
}

/** Norms near 1, biases near 0, weights by the number of their inputs (torch's `fan_in`). */
function distribution(key: string, shape: Shape): Distribution {
  if (key.endsWith(".bias")) return { mean: 0, std: SPREAD };
  if (shape.length === 1) return { mean: 1, std: SPREAD };
  return { mean: 0, std: GAIN / Math.sqrt(elementCount(shape.slice(1))) };
}

function encode(values: Tensor<"float32">, dtype: FloatDType): Tensor {
  if (dtype === "float32") return values;
  const bits = dtype === "float16" ? float32ToFloat16(values.data) : float32ToBfloat16(values.data);
  return makeTensor(dtype, values.shape, bits);
}
