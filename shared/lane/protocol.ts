/**
 * What an isolate and its lanes say to each other. Tensors are not copied between them: a message carries
 * the address of memory that the sender keeps alive until the answer, and ONNX Runtime reads and writes it
 * in place.
 *
 * @module
 */

import type { DType } from "../tensor/dtype.ts";
import type { Shape } from "../tensor/tensor.ts";

/** A tensor's memory, by address. */
export interface TensorRef {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Of the first byte; 0 for a tensor without elements. */
  readonly address: bigint;
}

export type LaneRequest =
  | {
    readonly kind: "load";
    readonly id: number;
    readonly graph: string;
    readonly model: Uint8Array<ArrayBuffer>;
    readonly weightsFolder: string | undefined;
  }
  | {
    readonly kind: "run";
    readonly id: number;
    readonly graph: string;
    readonly feeds: Readonly<Record<string, TensorRef>>;
    readonly fetches: Readonly<Record<string, TensorRef>>;
  }
  | { readonly kind: "release"; readonly id: number; readonly graph: string };

export type LaneReply =
  | { readonly id: number; readonly ok: true; readonly elapsedMs: number }
  | { readonly id: number; readonly ok: false; readonly message: string };

/** First message to a lane. */
export interface LaneOptions {
  readonly device: Device;
  /** Threads inside one operation. */
  readonly threads: number;
}

export type Device = "cpu" | "webgpu" | "cuda";
