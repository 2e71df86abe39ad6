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

export interface CodecShape {
  /** Part of a metric's name: `OUT08-512px`. */
  readonly name: string;
  /** `[B, C, H, W]` */
  readonly shape: Shape;
  readonly reason: string;
}

/** Of SD1.5, with guidance: two rows. */
export const CODEC_SHAPES: readonly CodecShape[] = [
  {
    name: "OUT11-512px",
    shape: [2, 4, 64, 64],
    reason: "the prediction that ends each step: what a call costs beside its elements",
  },
  {
    name: "M00-512px",
    shape: [2, 1280, 8, 8],
    reason: "the deepest of 6 equal maps; 4 channels share an int8 block",
  },
  {
    name: "OUT08-256px",
    shape: [2, 640, 32, 32],
    reason: "the widest map at 256 px, where the overhead of a cluster is measured",
  },
  {
    name: "OUT08-512px",
    shape: [2, 640, 64, 64],
    reason: "the widest map at 512 px: 21 MB of f32",
  },
];

export interface CodecBenchOptions {
  /** Default: all of `CODEC_SHAPES`. */
  readonly shapes?: readonly CodecShape[];
  /** Measurements of each number. */
  readonly rounds?: number;
  readonly signal?: AbortSignal;
  /** Told what is measured now. */
  readonly onPhase?: (phase: string) => void;
}

export interface CodecRow {
  readonly shape: CodecShape;
  readonly dtype: WireDtype;
  readonly wireBytes: number;
  readonly encode: CodecTime;
  readonly decode: CodecTime;
  /** Of a map of normal values of which every 32nd channel has 20 times the spread. */
  readonly relativeL2: number;
}

/** Of one conversion. */
export interface CodecTime {
  readonly medianMs: number;
  readonly fastestMs: number;
  readonly slowestMs: number;
  /** f32 bytes per second at the median, whatever the dtype: rates of one shape compare as their times do. */
  readonly bytesPerSecond: number;
}

const DEFAULT_ROUNDS = 15;
/** Before the measured ones: the engine compiles the loops for the types that it sees. */
const WARM_UP_ROUNDS = 5;

/** Small maps are converted again and again in one measurement, so that the clock's grain does not show. */
const LEAST_ELEMENTS = 1 << 20;

const OUTLIER = { every: 32, factor: 20 };

/** One row for each shape and dtype. The dtypes take turns in each round, so a busy machine slows all of them. */
export async function benchCodec(options: CodecBenchOptions = {}): Promise<CodecRow[]> {
  const { shapes = CODEC_SHAPES, rounds = DEFAULT_ROUNDS, signal, onPhase } = options;
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
        shape,
        dtype,
        wireBytes: bytes.byteLength,
        encode: codecTime(encodeMs, source.byteLength),
        decode: codecTime(decodeMs, source.byteLength),
        relativeL2: difference(target, source).relativeL2,
      });
    }
  }
  return rows;
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

function codecTime(elapsedMs: readonly number[], f32Bytes: number): CodecTime {
  const order = elapsedMs.toSorted((a, b) => a - b);
  const medianMs = order[Math.floor((order.length - 1) / 2)]!;
  return {
    medianMs,
    fastestMs: order[0]!,
    slowestMs: order.at(-1)!,
    bytesPerSecond: f32Bytes / (medianMs / 1000),
  };
}
