/**
 * Tensors by name in one run of memory: what updates all weights walks over one array, and the runtime reads and writes each tensor in
 * place.
 *
 * @module
 */

import { ShapeError } from "../../../shared/errors.ts";
import { alignedTensor } from "../../../shared/lane/aligned_memory.ts";
import { elementCount, f32, type F32Tensor, type Shape } from "../../../shared/tensor/tensor.ts";

/** Elements of a cache line: each tensor starts at one, as the runtime's own do. */
const ALIGNMENT = 16;

export class FlatTensors {
  /** All tensors, with zeros between them. */
  readonly data: Float32Array<ArrayBuffer>;
  readonly tensors: ReadonlyMap<string, F32Tensor>;

  /** Zeros. Equal shapes in equal order lie at equal places. */
  constructor(shapes: ReadonlyMap<string, Shape>) {
    let length = 0;
    const starts = [...shapes].map(([key, shape]) => {
      const start = length;
      length += Math.ceil(elementCount(shape) / ALIGNMENT) * ALIGNMENT;
      return [key, shape, start] as const;
    });
    this.data = (alignedTensor("float32", [length]) as F32Tensor).data;
    this.tensors = new Map(
      starts.map(([key, shape, start]) => [
        key,
        f32(shape, this.data.subarray(start, start + elementCount(shape))),
      ]),
    );
  }

  get shapes(): ReadonlyMap<string, Shape> {
    return new Map([...this.tensors].map(([key, { shape }]) => [key, shape]));
  }

  /** @throws {ShapeError} naming the tensor that is missing or in another shape */
  set(values: ReadonlyMap<string, F32Tensor>): void {
    for (const [key, tensor] of this.tensors) {
      const value = values.get(key);
      if (value?.shape.join() !== tensor.shape.join()) {
        throw new ShapeError(
          `Tensor "${key}" must have shape [${tensor.shape}]: current shape is ${
            value ? `[${value.shape}]` : "none"
          }`,
        );
      }
      tensor.data.set(value.data);
    }
  }
}
