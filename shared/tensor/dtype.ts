/**
 * Element types: their size, their name in safetensors files, their number in ONNX, and the typed
 * array that holds them. 16-bit and 8-bit floats are held as raw bits; `half.ts` and `float8.ts` convert them.
 *
 * @module
 */

interface DTypeInfo {
  readonly bytes: number;
  /** Spelling in a safetensors header. */
  readonly safetensors: string;
  /** `TensorProto.DataType` of ONNX. */
  readonly onnx: number;
  readonly array:
    | Float32ArrayConstructor
    | Float64ArrayConstructor
    | Uint16ArrayConstructor
    | Int8ArrayConstructor
    | Int16ArrayConstructor
    | Int32ArrayConstructor
    | BigInt64ArrayConstructor
    | Uint8ArrayConstructor
    | Uint32ArrayConstructor
    | BigUint64ArrayConstructor;
}

export const DTYPES = {
  float64: { bytes: 8, safetensors: "F64", onnx: 11, array: Float64Array },
  float32: { bytes: 4, safetensors: "F32", onnx: 1, array: Float32Array },
  float16: { bytes: 2, safetensors: "F16", onnx: 10, array: Uint16Array },
  bfloat16: { bytes: 2, safetensors: "BF16", onnx: 16, array: Uint16Array },
  float8_e4m3fn: { bytes: 1, safetensors: "F8_E4M3", onnx: 17, array: Uint8Array },
  float8_e5m2: { bytes: 1, safetensors: "F8_E5M2", onnx: 19, array: Uint8Array },
  int64: { bytes: 8, safetensors: "I64", onnx: 7, array: BigInt64Array },
  int32: { bytes: 4, safetensors: "I32", onnx: 6, array: Int32Array },
  int16: { bytes: 2, safetensors: "I16", onnx: 5, array: Int16Array },
  int8: { bytes: 1, safetensors: "I8", onnx: 3, array: Int8Array },
  uint8: { bytes: 1, safetensors: "U8", onnx: 2, array: Uint8Array },
  uint16: { bytes: 2, safetensors: "U16", onnx: 4, array: Uint16Array },
  uint32: { bytes: 4, safetensors: "U32", onnx: 12, array: Uint32Array },
  uint64: { bytes: 8, safetensors: "U64", onnx: 13, array: BigUint64Array },
  bool: { bytes: 1, safetensors: "BOOL", onnx: 9, array: Uint8Array },
} as const satisfies Record<string, DTypeInfo>;

export type DType = keyof typeof DTYPES;

/** The typed array that holds elements of dtype `D`. */
export type DataOf<D extends DType> = InstanceType<(typeof DTYPES)[D]["array"]>;

const BY_SAFETENSORS: ReadonlyMap<string, DType> = new Map(
  (Object.keys(DTYPES) as DType[]).map((dtype) => [DTYPES[dtype].safetensors, dtype]),
);

/** The dtype of a safetensors header's spelling, or `undefined` for one that we do not know. */
export function dtypeFromSafetensors(name: string): DType | undefined {
  return BY_SAFETENSORS.get(name);
}
