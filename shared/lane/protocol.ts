/**
 * What an isolate and its lanes say to each other. Tensors are not copied between them: a message carries
 * the address of memory that the sender keeps alive until the answer, and ONNX Runtime reads and writes it
 * in place.
 *
 * @module
 */

import type { KnownMerge } from "../merging/merged_file.ts";
import type { ComputedBytes } from "../onnx/encode.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/tensor.ts";

/** A tensor's memory, by address. */
export interface TensorRef {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Of the first byte; 0 for a tensor without elements. */
  readonly address: bigint;
}

/** `lane` numbers the lane that asks: on a thread that several lanes share, each has graphs of its own. */
interface Addressed {
  readonly id: number;
  readonly lane: number;
}

export type LaneRequest =
  | Addressed & {
    readonly kind: "load";
    readonly graph: string;
    readonly model: Uint8Array<ArrayBuffer>;
    readonly weightsFolder: string | undefined;
    readonly computed?: ComputedWeights;
    readonly options: LaneOptions;
  }
  | Addressed & {
    readonly kind: "run";
    readonly graph: string;
    readonly feeds: Readonly<Record<string, TensorRef>>;
    readonly fetches: Readonly<Record<string, TensorRef>>;
  }
  | Addressed & { readonly kind: "release"; readonly graph: string }
  | Addressed & { readonly kind: "close" };

/** Weights that the lane makes before it creates the session. */
export interface ComputedWeights {
  readonly merge: KnownMerge;
  readonly parts: readonly ComputedBytes[];
}

export type LaneReply =
  | { readonly id: number; readonly ok: true; readonly elapsedMs: number }
  | { readonly id: number; readonly ok: false; readonly message: string };

/** What a lane computes with. */
export interface LaneOptions {
  readonly device: Device;
  /** Threads inside one operation. */
  readonly threads: number;
  /** Where ONNX Runtime writes the time of every operation: one file per graph, complete once the graph is released. */
  readonly profileFolder?: string;
}

/** The execution providers of ONNX Runtime that we use. */
export const DEVICES = ["cpu", "webgpu", "cuda"] as const;

export type Provider = typeof DEVICES[number];

/** A provider, or one of several GPUs behind it. */
export type Device = Provider | `cuda:${number}`;
