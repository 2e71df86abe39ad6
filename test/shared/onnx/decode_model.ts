/**
 * Reads an encoded model back, as any program that knows ONNX's messages would.
 *
 * @module
 */

import protobuf from "protobufjs";
import { fileURLToPath } from "node:url";

/** Fields under their names in the .proto file; numbers and enums as numbers, absent ones undefined. */
export interface DecodedModel {
  readonly ir_version: number;
  readonly opset_import: readonly { readonly domain: string; readonly version: number }[];
  readonly graph: {
    readonly name: string;
    readonly node: readonly DecodedNode[];
    readonly initializer: readonly DecodedTensor[];
    readonly input: readonly DecodedValueInfo[];
    readonly output: readonly DecodedValueInfo[];
  };
}

export interface DecodedNode {
  readonly op_type: string;
  readonly domain: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly DecodedAttribute[];
}

export interface DecodedAttribute {
  readonly name: string;
  readonly type: number;
  readonly f: number;
  readonly i: number;
  readonly s: Uint8Array;
  readonly ints: readonly number[];
}

export interface DecodedTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data_type: number;
  readonly raw_data?: Uint8Array;
  readonly data_location?: number;
  readonly external_data: readonly { readonly key: string; readonly value: string }[];
}

export interface DecodedValueInfo {
  readonly name: string;
  readonly type: {
    readonly tensor_type: {
      readonly elem_type: number;
      readonly shape: {
        readonly dim: readonly { readonly dim_value?: number; readonly dim_param?: string }[];
      };
    };
  };
}

const PROTO = fileURLToPath(new URL("../../../proto/onnx.proto", import.meta.url));

export function decodeModel(bytes: Uint8Array): DecodedModel {
  const root = new protobuf.Root().loadSync(PROTO, { keepCase: true });
  const type = root.lookupType("onnx.ModelProto");
  const options = { longs: Number, arrays: true };
  return type.toObject(type.decode(bytes), options) as unknown as DecodedModel;
}
