/**
 * What the wire dtypes cost: time to convert feature maps there and back, bytes, and the error that it makes.
 *
 * @module
 */

import { difference } from "../../shared/tensor/compare.ts";
import { elementCount, type F32Tensor, type Shape } from "../../shared/tensor/tensor.ts";
import { TorchCpuGenerator } from "../../shared/tensor/torch_randn.ts";
import { decode, encode } from "../../shared/wire/codec/codec.ts";
import { encodedBytes, WIRE_DTYPES, type WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import { delay } from "../cluster/delay.ts";
import { type BenchFigure, measured } from "./bench_result.ts";

export interface CodecShape {
  /** Part of a metric's name: `OUT08-512`. */
  readonly name: string;
  /** `[B, C, H, W]` */
  readonly shape: Shape;
  readonly reason: string;
}

/** Of SD1.5, with guidance: two rows. */
export const CODEC_SHAPES: readonly CodecShape[] = [
  {
    name: "OUT11-512",
    shape: [2, 4, 64, 64],
    reason: "the prediction that ends each step: what a call costs beside its elements",
  },
  {
    name: "M00-512",
    shape: [2, 1280, 8, 8],
    reason: "the deepest of 6 equal maps; 4 channels share an int8 block",
  },
  {
    name: "OUT08-256",
    shape: [2, 640, 32, 32],
    reason: "the widest map at 256 px, where the overhead of a cluster is measured",
  },
  {
    name: "OUT08-512",
    shape: [2, 640, 64, 64],
    reason: "the widest map at 512 px: 21 MB of f32",
  },
];

export interface CodecBenchOptions {
  /** Default: all of `CODEC_SHAPES`. */
  readonly shapes?: readonly CodecShape[];
  /** Measurements of each number. */
  readonly rounds: number;
  readonly signal?: AbortSignal;
  /** Told what is measured now. */
  readonly onPhase?: (phase: string) => void;
}

export interface CodecRow {
  readonly shape: CodecShape;
  readonly dtype: WireDtype;
  readonly wireBytes: number;
  /** Of one conversion in each round. */
  readonly encodeMs: readonly number[];
  readonly decodeMs: readonly number[];
  /** Of a map of normal values of which every 32nd channel has 20 times the spread. */
  readonly relativeL2: number;
}

/** Before the measured ones: the engine compiles the loops for the types that it sees. */
const WARM_UP_ROUNDS = 5;

/** Small maps are converted again and again in one measurement, so that the clock's grain does not show. */
const LEAST_ELEMENTS = 1 << 20;

const OUTLIER = { every: 32, factor: 20 };

/** One row for each shape and dtype. The dtypes take turns in each round, so a busy machine slows all of them. */
export async function benchCodec(options: CodecBenchOptions): Promise<CodecRow[]> {
  const { shapes = CODEC_SHAPES, rounds, signal, onPhase } = options;
  const rows: CodecRow[] = [];
  for (const shape of shapes) {
    onPhase?.(shape.name);
    const { data: source } = featureMap(shape.shape);
    const target = new Float32Array(source.length);
    const trials = WIRE_DTYPES.map((dtype) => ({
      dtype,
      bytes: new Uint8Array(encodedBytes(dtype, source.length)),
      encodeMs: new Array<number>(),
      decodeMs: new Array<number>(),
    }));
    const repeats = Math.ceil(LEAST_ELEMENTS / source.length);
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      for (const { dtype, bytes, encodeMs, decodeMs } of trials) {
        // Lets a signal in.
        await delay(0, signal);
        const there = timeOf(repeats, () => encode(dtype, source, bytes));
        const back = timeOf(repeats, () => decode(dtype, bytes, target));
        if (round < 0) continue;
        encodeMs.push(there);
        decodeMs.push(back);
      }
    }
    for (const { dtype, bytes, encodeMs, decodeMs } of trials) {
      decode(dtype, bytes, target);
      rows.push({
        ...{ shape, dtype, wireBytes: bytes.byteLength, encodeMs, decodeMs },
        relativeL2: difference(target, source).relativeL2,
      });
    }
  }
  return rows;
}

/**
 * `codec.f16.encode.OUT08-512` and `.decode.` in ms, each with `.rate` in MB/s of f32 whatever the dtype, so that rates
 * compare as times do; `codec.f16.bytes.OUT08-512` and `.error.`, the relative L2.
 */
export function codecFigures(rows: readonly CodecRow[]): BenchFigure[] {
  return rows.flatMap(({ shape, dtype, wireBytes, encodeMs, decodeMs, relativeL2 }) => {
    const nameOf = (what: string) => `codec.${dtype}.${what}.${shape.name}`;
    const megabytes = 4 * elementCount(shape.shape) / 1e6;
    const conditions = { shape: shape.shape.join("x"), threads: 1 };
    const rates = (ms: readonly number[]) => ms.map((each) => megabytes / (each / 1000));
    return [
      { ...measured(nameOf("encode"), encodeMs, "ms"), conditions },
      measured(`${nameOf("encode")}.rate`, rates(encodeMs), "MB/s"),
      { ...measured(nameOf("decode"), decodeMs, "ms"), conditions },
      measured(`${nameOf("decode")}.rate`, rates(decodeMs), "MB/s"),
      { name: nameOf("bytes"), value: wireBytes, unit: "bytes" },
      { name: nameOf("error"), value: relativeL2, unit: "ratio" },
    ];
  });
}

function featureMap(shape: Shape): F32Tensor {
  const map = new TorchCpuGenerator(0).randn(shape);
  const channel = elementCount(shape.slice(2));
  for (let start = 0; start < map.data.length; start += OUTLIER.every * channel) {
    for (let i = start; i < start + channel; i++) map.data[i]! *= OUTLIER.factor;
  }
  return map;
}

/** Milliseconds of one call. */
function timeOf(repeats: number, call: () => void): number {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) call();
  return (performance.now() - start) / repeats;
}
