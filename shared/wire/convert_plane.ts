/** Planes, and tensors that travel on them, as messages and back. @module */

import { elementCount, type Shape } from "../tensor/tensor.ts";
import type { WireDtype } from "./codec/wire_dtype.ts";
import { Fields, type Message } from "./fields.ts";
import { MAX_RANK } from "./limits.ts";
import type { PlaneKind } from "./plane/plane_kind.ts";

/** A tensor whose elements travel apart from the message that tells of it. f32 at both ends. */
export interface TensorHead {
  readonly shape: Shape;
  readonly wireDtype: WireDtype;
  /** Number of the tensor in its direction of the session. */
  readonly sequence: number;
}

/** A plane that a worker can try. */
export interface PlaneOffer {
  readonly plane: PlaneKind;
  /** HOST:PORT, path of a socket, or name of a region. */
  readonly address: string;
  /** 16 bytes. */
  readonly token: Uint8Array;
  /** 0 where there is no region. */
  readonly regionBytes: number;
}

/** What a client says of its plane, and by what the worker knows that it works. */
export interface PlaneUse {
  readonly plane: PlaneKind;
  /** 16 bytes for a socket, else empty. */
  readonly proof: Uint8Array;
}

/** How a session's tensors are to travel, as its client wants it. */
export interface Transport {
  /** Empty: as parts of the messages. */
  readonly planes: readonly PlaneKind[];
  readonly wireDtypes: WireDtypes;
  /** Of the way back, in a session that keeps inputs. */
  readonly gradientDtype: WireDtype;
}

/** One dtype for all blocks' outputs, but for the exceptions. */
export interface WireDtypes {
  readonly all: WireDtype;
  readonly blocks: ReadonlyMap<string, WireDtype>;
}

/**
 * What a block's output is on the way. The noise, output of the last block, stays exact unless it is named: it is small,
 * and every error in it is an error of the image.
 */
export function wireDtypeOf(
  { all, blocks }: WireDtypes,
  block: string,
  lastBlock: string,
): WireDtype {
  return blocks.get(block) ?? (block === lastBlock ? "f32" : all);
}

const PLANES: Readonly<Record<PlaneKind, string>> = {
  grpc: "PLANE_GRPC",
  tcp: "PLANE_TCP",
  unix: "PLANE_UNIX",
  shm: "PLANE_SHM",
};

const DTYPES: Readonly<Record<WireDtype, string>> = {
  f32: "WIRE_DTYPE_F32",
  f16: "WIRE_DTYPE_F16",
  bf16: "WIRE_DTYPE_BF16",
  int8: "WIRE_DTYPE_INT8",
};
const UNSPECIFIED_DTYPE = "WIRE_DTYPE_UNSPECIFIED";
const UNSPECIFIED_PLANE = "PLANE_UNSPECIFIED";

const TOKEN_BYTES = 16;
const MAX_PLANES = 16;
/** More blocks than any U-Net has. */
export const MAX_BLOCKS = 256;
const MAX_SEQUENCE = 2 ** 32 - 1;

export function headToMessage({ shape, wireDtype, sequence }: TensorHead): Message {
  return { shape, wireDtype: DTYPES[wireDtype], sequence };
}

/** @throws {TuttiError} INVALID_ARGUMENT naming the field */
export function headFromFields(fields: Fields): TensorHead {
  const shape = fields.wholes("shape", MAX_RANK);
  if (!Number.isSafeInteger(elementCount(shape))) fields.fail("shape", "of a tensor that can be");
  return {
    shape,
    wireDtype: dtypeField(fields, "wireDtype"),
    sequence: fields.whole("sequence", 0, MAX_SEQUENCE),
  };
}

export function transportToMessage({ planes, wireDtypes, gradientDtype }: Transport): Message {
  return {
    planes: planes.map((plane) => PLANES[plane]),
    wireDtype: DTYPES[wireDtypes.all],
    blockWireDtypes: [...wireDtypes.blocks].map(([block, dtype]) => ({
      block,
      wireDtype: DTYPES[dtype],
    })),
    gradientDtype: DTYPES[gradientDtype],
  };
}

/** Of an OpenSession. Planes that this build does not know are as if they were not named. */
export function transportFromFields(fields: Fields): Transport {
  const planes = fields.list("planes", MAX_PLANES).flatMap((name) => kindOf(name) ?? []);
  const blocks = fields.list("blockWireDtypes", MAX_BLOCKS).map((entry) => {
    const exception = new Fields(entry, "BlockWireDtype");
    return [exception.name("block"), dtypeField(exception, "wireDtype")] as const;
  });
  return {
    planes,
    wireDtypes: { all: dtypeField(fields, "wireDtype"), blocks: new Map(blocks) },
    gradientDtype: dtypeField(fields, "gradientDtype"),
  };
}

export function offerToMessage({ plane, address, token, regionBytes }: PlaneOffer): Message {
  return { plane: PLANES[plane], address, token, regionBytes };
}

/** Offers of planes that this build does not know are left out. */
export function offersFromFields(fields: Fields): PlaneOffer[] {
  return fields.list("offers", MAX_PLANES).flatMap((entry) => {
    const offer = new Fields(entry, "PlaneOffer");
    const plane = kindOf(offer.get("plane"));
    if (plane === undefined) return [];
    return [{
      plane,
      address: offer.text("address"),
      token: offer.bytes("token", TOKEN_BYTES),
      regionBytes: offer.whole("regionBytes", 0),
    }];
  });
}

export function planeUseToMessage({ plane, proof }: PlaneUse): Message {
  return { plane: PLANES[plane], proof };
}

export function planeUseFromFields(fields: Fields): PlaneUse {
  const plane = planeField(fields);
  const isSocket = plane === "unix" || plane === "tcp";
  return { plane, proof: fields.bytes("proof", isSocket ? TOKEN_BYTES : 0) };
}

export function planeToMessage(plane: PlaneKind | undefined): string {
  return plane === undefined ? UNSPECIFIED_PLANE : PLANES[plane];
}

/** The field `plane`, which must be set. */
export function planeField(fields: Fields): PlaneKind {
  return kindOf(fields.get("plane")) ?? fields.fail("plane", Object.values(PLANES).join(", "));
}

/** The field `plane`, where it may be open. */
export function optionalPlane(fields: Fields): PlaneKind | undefined {
  return kindOf(fields.get("plane"));
}

function kindOf(name: unknown): PlaneKind | undefined {
  return (Object.keys(PLANES) as PlaneKind[]).find((plane) => PLANES[plane] === name);
}

export function dtypeToMessage(dtype: WireDtype): string {
  return DTYPES[dtype];
}

/** A field that is f32 where it is not set. */
export function dtypeField(fields: Fields, field: string): WireDtype {
  const name = fields.get(field);
  if (name === UNSPECIFIED_DTYPE || name === undefined) return "f32";
  const dtype = (Object.keys(DTYPES) as WireDtype[]).find((known) => DTYPES[known] === name);
  return dtype ?? fields.fail(field, Object.values(DTYPES).join(", "));
}
