/**
 * What a wire dtype does to an image: an ensemble draws one with each, from the same noise, and everything is compared
 * with f32, which carries every bit.
 *
 * @module
 */

import { difference } from "../../shared/tensor/compare.ts";
import { copyTensor, type F32Tensor } from "../../shared/tensor/tensor.ts";
import { decode, encode } from "../../shared/wire/codec/codec.ts";
import { encodedBytes, type WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import type { PlaneChoice } from "../../shared/wire/plane/plane_kind.ts";
import { connectExpert, type RemoteExpert } from "../cluster/remote_expert.ts";
import type { Ensemble } from "../ensemble/ensemble.ts";
import { psnr } from "../image/psnr.ts";
import type { SegmentReport } from "../sampling/ensemble_forward.ts";
import { sample, type SampleRequest } from "../sampling/sample.ts";
import { type BenchFigure, type Conditions, measured } from "./bench_result.ts";

export interface WireBenchOptions {
  /** Except f32, which is always drawn first. */
  readonly dtypes: readonly WireDtype[];
  readonly plane: PlaneChoice;
  /** What is drawn. */
  readonly request: Omit<SampleRequest, "experts" | "onSegment" | "signal">;
  readonly signal?: AbortSignal;
  /** Told after each step of each image. */
  readonly onStep?: (dtype: WireDtype) => void;
}

export interface WireRow {
  readonly dtype: WireDtype;
  /** As they were taken: `unix`, or several if workers differ. */
  readonly planes: readonly string[];
  /** Of all experts in one step. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Of another dtype than f32. */
  readonly error?: WireError;
}

export interface WireError {
  /**
   * By block: relative L2 of the aggregated features of the f32 run after they were encoded and decoded once, one number
   * a step. Not of the last block, whose result no expert gets.
   */
  readonly blocks: ReadonlyMap<string, readonly number[]>;
  /** Relative L2 of the final latents. */
  readonly latents: number;
  /** Of the decoded image, dB; Infinity if it is the same. */
  readonly psnr: number;
}

/** @throws {TuttiError} what a dtype cannot carry (`encode()`), or what a worker or a plane refuses */
export async function benchWire(ensemble: Ensemble, options: WireBenchOptions): Promise<WireRow[]> {
  const { dtypes } = options;
  const lastBlock = ensemble.experts[0]!.description.blocks.at(-1)!.id;
  const blocks = new Map(dtypes.map((dtype) => [dtype, new Map<string, number[]>()]));
  const exact = await draw(ensemble, "f32", options, ({ last, aggregatedFeatures }) => {
    if (last === lastBlock || !aggregatedFeatures) return;
    for (const [dtype, errors] of blocks) {
      const error = codecError(dtype, aggregatedFeatures.data);
      errors.set(last, [...errors.get(last) ?? [], error]);
    }
  });
  const image = await ensemble.vae.decode(exact.latents);
  const rows: WireRow[] = [{ dtype: "f32", ...exact.traffic }];
  for (const dtype of dtypes) {
    const { latents, traffic } = await draw(ensemble, dtype, options, () => {});
    const error = {
      blocks: blocks.get(dtype)!,
      latents: difference(latents.data, exact.latents.data).relativeL2,
      psnr: psnr(await ensemble.vae.decode(latents), image),
    };
    rows.push({ dtype, ...traffic, error });
  }
  return rows;
}

/**
 * `wire.int8.bytes` of a step, `.sent` and `.received`; `.latents`, `.psnr` (missing if the image is the same) and
 * `.block.OUT08`, where there is an error.
 */
export function wireFigures(rows: readonly WireRow[], conditions: Conditions): BenchFigure[] {
  return rows.flatMap(({ dtype, planes, sentBytes, receivedBytes, error }) => {
    const name = `wire.${dtype}`;
    const bytes = (part: string, value: number): BenchFigure => ({
      ...{ name: `${name}.${part}`, value, unit: "bytes" },
      conditions: { ...conditions, plane: planes.join(", ") },
    });
    const traffic = [
      bytes("bytes", sentBytes + receivedBytes),
      bytes("sent", sentBytes),
      bytes("received", receivedBytes),
    ];
    if (!error) return traffic;
    return [
      ...traffic,
      { name: `${name}.latents`, value: error.latents, unit: "ratio", conditions },
      ...(Number.isFinite(error.psnr)
        ? [{ name: `${name}.psnr`, value: error.psnr, unit: "dB", conditions } as const]
        : []),
      ...[...error.blocks].map(([block, errors]) => ({
        ...measured(`${name}.block.${block}`, errors, "ratio"),
        conditions,
      })),
    ];
  });
}

interface Drawn {
  readonly latents: F32Tensor;
  readonly traffic: Pick<WireRow, "planes" | "sentBytes" | "receivedBytes">;
}

/** One image over connections of its own, as a dtype is agreed upon when a session opens. */
async function draw(
  { members }: Ensemble,
  dtype: WireDtype,
  { plane, request, signal, onStep }: WireBenchOptions,
  onSegment: (report: SegmentReport) => void,
): Promise<Drawn> {
  await using connections = new AsyncDisposableStack();
  const experts: RemoteExpert[] = [];
  for (const { address } of members) {
    const transport = { plane, wireDtypes: { all: dtype } };
    const expert = await connectExpert(address!, { transport, ...(signal && { signal }) });
    connections.defer(() => expert.close());
    experts.push(expert);
  }
  const planes = new Set<string>();
  let sent = 0, received = 0, count = 0;
  let latents = request.initialLatents;
  const steps = sample({
    ...request,
    experts,
    ...(signal && { signal }),
    onSegment: (report) => {
      for (const { plane, sentBytes, receivedBytes } of report.experts) {
        planes.add(plane);
        sent += sentBytes;
        received += receivedBytes;
      }
      onSegment(report);
    },
  });
  for await (const step of steps) {
    ({ latents } = step);
    count++;
    onStep?.(dtype);
  }
  const traffic = { planes: [...planes], sentBytes: sent / count, receivedBytes: received / count };
  return { latents: copyTensor(latents), traffic };
}

function codecError(dtype: WireDtype, numbers: Float32Array): number {
  const bytes = new Uint8Array(encodedBytes(dtype, numbers.length));
  const back = new Float32Array(numbers.length);
  encode(dtype, numbers, bytes);
  decode(dtype, bytes, back);
  return difference(back, numbers).relativeL2;
}
