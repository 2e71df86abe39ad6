/**
 * A tensor inside a protobuf message. Everything that sends or receives a tensor over gRPC comes through
 * these two functions, so that another way for tensors to travel has one place to attach.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import { type DType, DTYPES } from "../tensor/dtype.ts";
import { type Float8DType, isFloat8 } from "../tensor/float8.ts";
import { bytesOf, formatType, type Tensor, tensorFromBytes } from "../tensor/tensor.ts";
import { Fields, type Message } from "./fields.ts";
import { MAX_RANK } from "./limits.ts";
import { checkChecksum, withChecksum } from "./message_checksum.ts";

/** 8-bit floats are what weights are stored as: none travels. */
type WireDType = Exclude<DType, Float8DType>;

/** Names of `tutti.v1.DataType`. */
const DATA_TYPES: Readonly<Record<WireDType, string>> = {
  float32: "DATA_TYPE_FLOAT32",
  float16: "DATA_TYPE_FLOAT16",
  bfloat16: "DATA_TYPE_BFLOAT16",
  float64: "DATA_TYPE_FLOAT64",
  int64: "DATA_TYPE_INT64",
  int32: "DATA_TYPE_INT32",
  int16: "DATA_TYPE_INT16",
  int8: "DATA_TYPE_INT8",
  uint8: "DATA_TYPE_UINT8",
  bool: "DATA_TYPE_BOOL",
  uint16: "DATA_TYPE_UINT16",
  uint32: "DATA_TYPE_UINT32",
  uint64: "DATA_TYPE_UINT64",
};

const DTYPE_OF: ReadonlyMap<unknown, DType> = new Map(
  (Object.keys(DATA_TYPES) as WireDType[]).map((dtype) => [DATA_TYPES[dtype], dtype]),
);

/** The tensor as a message that shares its bytes. */
export function tensorToMessage(tensor: Tensor): Message {
  const { dtype, shape } = tensor;
  if (isFloat8(dtype)) {
    throw new ShapeError(
      `A tensor on the wire must not be of 8-bit floats: current dtype is ${dtype}`,
    );
  }
  return { dtype: DATA_TYPES[dtype], shape, ...withChecksum(bytesOf(tensor)) };
}

/**
 * The tensor that a message holds. It shares the message's bytes, unless they start at an address that the
 * element size does not divide.
 *
 * @param path names the field in errors: `OpenSession.encoder_hidden_states`
 * @throws {ShapeError} if it is missing, is not of `dtype`, or its bytes are not those of its shape
 * @throws {TuttiError} DATA_LOSS if its bytes are not those that were sent
 */
export function tensorFromMessage<D extends DType>(
  message: unknown,
  path: string,
  dtype: D,
): Tensor<D> {
  if (message === undefined || message === null) {
    throw new ShapeError(`${path} must be set`, { details: { field: path } });
  }
  const fields = new Fields(message, path);
  const shape = fields.wholes("shape", MAX_RANK);
  const actual = DTYPE_OF.get(fields.get("dtype"));
  if (actual !== dtype) {
    throw new ShapeError(
      `${path} must be ${dtype}: current dtype is ${actual ?? String(fields.get("dtype"))}`,
      { details: { field: path } },
    );
  }
  const data = fields.get("data");
  const bytes = data instanceof Uint8Array ? data : new Uint8Array();
  const expected = shape.reduce((product, dim) => product * dim, DTYPES[dtype].bytes);
  if (bytes.byteLength !== expected) {
    throw new ShapeError(
      `${path}, ${formatType(dtype, shape)}, must have ${expected} bytes: ` +
        `current count is ${bytes.byteLength}`,
      { details: { field: path } },
    );
  }
  checkChecksum(fields, bytes);
  return tensorFromBytes(dtype, shape, bytes);
}
