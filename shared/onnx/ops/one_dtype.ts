/** The rule that almost every op of ONNX has: its tensors are of one dtype. @module */

import { ShapeError } from "../../errors.ts";
import { formatType } from "../../tensor/tensor.ts";
import type { Value } from "../graph.ts";

/** @throws {ShapeError} if the values' dtypes differ; `undefined` stands for an input that is not given */
export function checkOneDtype(op: string, ...values: readonly (Value | undefined)[]): void {
  const given = values.filter((value) => value !== undefined);
  const [first] = given;
  const odd = given.find((value) => value.dtype !== first!.dtype);
  if (!odd) return;
  const types = [first!, odd].map(({ dtype, shape }) => formatType(dtype, shape));
  throw new ShapeError(`${op} needs one dtype: ${types.join(" and ")}`);
}
