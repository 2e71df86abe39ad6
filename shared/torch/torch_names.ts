/**
 * The names that a torch file of tensors may use, and what they stand for. A name that is not here is refused with the
 * file: that is what keeps a pickle data.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { show } from "../show.ts";
import type { DType } from "../tensor/dtype.ts";
import { PickleDict, type PickleReader, PickleTuple, type PickleValue } from "./pickle.ts";

/** A dtype, as itself or as the type of a storage. */
class TorchType {
  readonly kind = "type";
  readonly dtype: DType;
  constructor(dtype: DType) {
    this.dtype = dtype;
  }
}

/** A piece of memory that tensors are views of; an entry of the archive. */
export class TorchStorage {
  readonly kind = "storage";
  /** Name of the entry below `data/`. */
  readonly key: string;
  readonly dtype: DType;
  readonly elements: number;
  constructor(key: string, dtype: DType, elements: number) {
    this.key = key;
    this.dtype = dtype;
    this.elements = elements;
  }
}

export class TorchTensor {
  readonly kind = "tensor";
  readonly storage: TorchStorage;
  readonly dtype: DType;
  /** Elements of the storage before the first one. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(
    storage: TorchStorage,
    dtype: DType,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage;
    this.dtype = dtype;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

/** Something that a training tool left and that holds no weights; what is done with it is not followed. */
const INERT = { kind: "inert" } as const;

type Call = { readonly kind: "call"; readonly run: (args: readonly PickleValue[]) => PickleValue };

const call = (run: Call["run"]): Call => ({ kind: "call", run });
const makeDict = call(() => new PickleDict());

const DTYPE_NAMES: Readonly<Record<string, DType>> = {
  float64: "float64",
  float32: "float32",
  float16: "float16",
  bfloat16: "bfloat16",
  int64: "int64",
  int32: "int32",
  int16: "int16",
  int8: "int8",
  uint8: "uint8",
  bool: "bool",
  float8_e4m3fn: "float8_e4m3fn",
  float8_e5m2: "float8_e5m2",
};

const STORAGE_NAMES: Readonly<Record<string, DType>> = {
  DoubleStorage: "float64",
  FloatStorage: "float32",
  HalfStorage: "float16",
  BFloat16Storage: "bfloat16",
  LongStorage: "int64",
  IntStorage: "int32",
  ShortStorage: "int16",
  CharStorage: "int8",
  ByteStorage: "uint8",
  BoolStorage: "bool",
};

/** `torch/_utils.py`, `torch/storage.py`; the last ones are what Lightning keeps beside the weights. */
function knownNames(path: string): ReadonlyMap<string, PickleValue> {
  const types = [...Object.entries(DTYPE_NAMES), ...Object.entries(STORAGE_NAMES)];
  return new Map<string, PickleValue>([
    ...types.map(([name, dtype]) => [`torch.${name}`, new TorchType(dtype)] as const),
    ["torch.storage.UntypedStorage", new TorchType("uint8")],
    ["torch._utils._rebuild_tensor_v2", call((args) => rebuildTensor(args, path))],
    ["torch._utils._rebuild_tensor_v3", call((args) => rebuildTensor(args, path, args[6]))],
    ["torch._utils._rebuild_parameter", call(([tensor = null]) => tensor)],
    ["torch.Size", call(([sizes = null]) => sizes)],
    ["torch.nn.modules.container.ParameterDict", makeDict],
    ["collections.OrderedDict", makeDict],
    ["pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", INERT],
    ["numpy.core.multiarray.scalar", INERT],
    ["numpy._core.multiarray.scalar", INERT],
    ["numpy.dtype", INERT],
    ["_codecs.encode", INERT],
  ]);
}

/** What names, calls and storages mean in a file of this path. */
export function torchReader(path: string): PickleReader {
  const names = knownNames(path);
  return {
    name(module, name) {
      const known = names.get(`${module}.${name}`);
      if (known !== undefined) return known;
      throw new FormatError(
        `Model file ${show(path)} must name nothing but tensors in its pickle: it names ${
          show(`${module}.${name}`)
        }. Nothing of it was executed. Get the model's .safetensors version; a name like this has no ` +
          "place in a file of weights",
        { details: { file: path.slice(0, 1000), name: `${module}.${name}`.slice(0, 1000) } },
      );
    },
    call(callee, args) {
      return isCall(callee) ? callee.run(args) : INERT;
    },
    persistent(id) {
      // ("storage", type, key, device, elements)
      if (id instanceof PickleTuple) {
        const [word, type, key, , elements] = id.items;
        if (word === "storage" && type instanceof TorchType && isSize(elements)) {
          if (typeof key === "string") return new TorchStorage(key, type.dtype, elements);
        }
      }
      throw damaged(path, "a storage has no type, name or size");
    },
  };
}

/** Arguments: storage, offset, sizes, strides, and what says how the tensor was trained. */
function rebuildTensor(
  [storage, offset, shape, strides]: readonly PickleValue[],
  path: string,
  type?: PickleValue,
): TorchTensor {
  if (!(storage instanceof TorchStorage) || !isSize(offset)) {
    throw damaged(path, "a tensor has no storage or offset");
  }
  const [sizes, steps] = [shape, strides].map((value) =>
    value instanceof PickleTuple && value.items.every(isSize) ? value.items as number[] : undefined
  );
  if (!sizes || !steps || sizes.length !== steps.length) {
    throw damaged(
      path,
      "sizes and strides of a tensor must be whole numbers, one of each per axis",
    );
  }
  const dtype = type instanceof TorchType ? type.dtype : storage.dtype;
  return new TorchTensor(storage, dtype, offset, sizes, steps);
}

function isCall(value: PickleValue): value is Call {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "call";
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function damaged(path: string, why: string): FormatError {
  return new FormatError(`Tensors of ${show(path)} cannot be read: ${why}`);
}
