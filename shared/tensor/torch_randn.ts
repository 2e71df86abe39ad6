/**
 * Normal noise that equals torch's CPU generator, so a seed draws the picture that it draws in other
 * tools: `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))`.
 *
 * Two paths, as in torch's `normal_` for contiguous f32 (aten/src/ATen/native/cpu/DistributionTemplates.h):
 * 16 values or more take 24-bit uniforms in blocks of 16, fewer take 53-bit uniforms one by one.
 *
 * @module
 */

import { ShapeError, UsageError } from "../errors.ts";
import { elementCount, f32, type F32Tensor, type Shape } from "./tensor.ts";
import { Mt19937 } from "./mt19937.ts";

/** torch transforms this many uniforms at once: two halves are the two sides of Box-Muller. */
const BLOCK = 16, HALF = BLOCK / 2;

const MAX_SEED = 2n ** 64n - 1n;

/** More than this is a mistake: 1 GiB, the latents of a thousand images of 2,048 px. */
const MAX_ELEMENTS = 2 ** 28;

/** One stream of noise. Draws follow each other, so two draws of one generator differ. */
export class TorchCpuGenerator {
  readonly #engine: Mt19937;
  /** The sine side of the last pair of the short path; it waits there across draws, as in torch. */
  #cached: number | undefined;

  /**
   * @param seed 0 to 2^64 - 1; as in torch, only the low 32 bits make a difference
   * @throws {UsageError} if the seed is no whole number in that range, or a `number` beyond 2^53 - 1
   *   (which could stand for several seeds: pass a bigint)
   */
  constructor(seed: bigint | number) {
    this.#engine = new Mt19937(checkSeed(seed));
  }

  /**
   * Draws standard normal noise.
   *
   * @throws {ShapeError} if a dimension is not a whole number >= 0, or there are too many elements
   */
  randn(shape: Shape): F32Tensor {
    const count = elementCount(shape);
    if (shape.some((dim) => !Number.isSafeInteger(dim) || dim < 0) || count > MAX_ELEMENTS) {
      throw new ShapeError(
        `Noise must have dimensions of whole numbers >= 0 and at most ${MAX_ELEMENTS} elements: ` +
          `current shape is [${shape}]`,
      );
    }
    const noise = f32(shape);
    if (count < BLOCK) {
      for (let i = 0; i < count; i++) noise.data[i] = this.#normal();
    } else {
      this.#fill(noise.data);
    }
    return noise;
  }

  /** 16 values or more. */
  #fill(data: Float32Array): void {
    for (let i = 0; i < data.length; i++) data[i] = this.#uniform24();
    for (let start = 0; start + BLOCK <= data.length; start += BLOCK) boxMuller16(data, start);
    if (data.length % BLOCK !== 0) {
      // torch draws the last 16 values anew rather than treat a part of a block, so some values that
      // are already normal are overwritten.
      const start = data.length - BLOCK;
      for (let i = start; i < data.length; i++) data[i] = this.#uniform24();
      boxMuller16(data, start);
    }
  }

  /** Fewer than 16 values: Box-Muller in f64, two values per pair of uniforms. */
  #normal(): number {
    if (this.#cached !== undefined) {
      const sample = this.#cached;
      this.#cached = undefined;
      return sample;
    }
    const u1 = this.#uniform53(), u2 = this.#uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    const theta = 2 * Math.PI * u1;
    this.#cached = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }

  #uniform24(): number {
    return (this.#engine.random32() & 0xffffff) / 2 ** 24;
  }

  #uniform53(): number {
    const high = this.#engine.random32() & 0x1fffff;
    return (high * 2 ** 32 + this.#engine.random32()) / 2 ** 53;
  }
}

/** Uniforms `data[start .. start + 16]` become normal values in place, rounded as torch's f32 kernel does. */
function boxMuller16(data: Float32Array, start: number): void {
  const { fround } = Math;
  for (let j = start; j < start + HALF; j++) {
    const u1 = 1 - data[j]!; // In (0, 1], so the logarithm is finite.
    const u2 = data[j + HALF]!;
    const radius = fround(Math.sqrt(fround(-2 * fround(Math.log(u1)))));
    const theta = fround(fround(2 * Math.PI) * u2);
    data[j] = radius * fround(Math.cos(theta));
    data[j + HALF] = radius * fround(Math.sin(theta));
  }
}

function checkSeed(seed: bigint | number): bigint {
  const isWhole = typeof seed === "bigint" || Number.isSafeInteger(seed);
  if (!isWhole || seed < 0 || seed > MAX_SEED) {
    throw new UsageError(
      `Seed must be a whole number from 0 to 2^64 - 1: current value is ${seed}`,
    );
  }
  return BigInt(seed);
}
