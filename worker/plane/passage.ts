/** What it took to move a feature map into the worker or out of it. @module */

import { encodedBytes, type WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import { elementCount } from "../../shared/tensor/tensor.ts";
import type { TensorHead } from "../../shared/wire/convert_plane.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";

export interface Passage {
  /** `message` for a tensor that was part of a message. */
  readonly plane: PlaneKind | "message";
  readonly wireDtype: WireDtype;
  /** On the way: none where both ends have the memory in common. */
  readonly bytes: number;
  /** Converting to or from the wire dtype. */
  readonly codecMs: number;
  /** Everything else: waiting for the bytes and handing them over. */
  readonly wireMs: number;
}

/** @param elapsedMs all that it took */
export function passageOf(
  plane: PlaneKind,
  { shape, wireDtype }: TensorHead,
  elapsedMs: number,
  codecMs: number,
): Passage {
  return {
    plane,
    wireDtype,
    bytes: plane === "shm" ? 0 : encodedBytes(wireDtype, elementCount(shape)),
    codecMs,
    wireMs: elapsedMs - codecMs,
  };
}
