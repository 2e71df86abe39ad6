/**
 * What a rule of reverse mode is. For one node y = f(x_1, x_2, ...) and the cotangent of y (the gradient of the final scalar with
 * respect to y, in y's shape) it gives the cotangents of the x_i.
 *
 * @module
 */

import { TuttiError } from "../../errors.ts";
import { f32, makeTensor, type Tensor } from "../../tensor/tensor.ts";
import type { GraphShape } from "../dim.ts";
import type { Attributes, GraphBuilder, Value } from "../graph.ts";
import { Reshape, ReshapeLike } from "../ops/movement.ts";
import { ReduceSum } from "../ops/reduction.ts";
import type { OpName } from "../op_name.ts";

/** A node of the recomputed forward pass, inside the graph that is being built. */
export interface PrimalNode {
  readonly op: OpName;
  readonly attributes: Attributes;
  /** Undefined for an input that is not given. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** The content of a value that is a constant of the graph, else undefined. */
  constant(value: Value): Tensor | undefined;
  /** Of the first output and its cotangent, where the nodes behind this one know it: see `InputCotangent`. */
  readonly rowProducts?: () => Value;
}

/** Builds the cotangent of one input. Called only where a path to a wanted gradient leads through that input. */
export interface InputCotangent {
  (): Value;
  /** Builds the sum of input times cotangent over the last axis (which stays, as 1), where that is known without both. */
  readonly rowProducts?: () => Value;
}

/**
 * @param cotangents one per output of the node
 * @returns one per input; undefined where the output does not depend on it smoothly (shapes, indices)
 */
export type VjpRule = (
  g: GraphBuilder,
  node: PrimalNode,
  cotangents: readonly [Value, ...Value[]],
) => readonly (InputCotangent | undefined)[];

/** A rule, or why the operator has no derivative. */
export type VjpEntry = VjpRule | { readonly none: string };

/** A number in the dtype of `like`. */
export function scalar(g: GraphBuilder, value: number, like: Value): Value {
  return g.constant(
    like.dtype === "float64" ? makeTensor("float64", [], Float64Array.of(value)) : f32([], [value]),
    "scalar",
  );
}

/** The sum of a cotangent over the axes along which an input of that shape was broadcast. */
export function unbroadcast(g: GraphBuilder, cotangent: Value, input: Value): Value {
  const lead = cotangent.shape.length - input.shape.length;
  const axes = [...cotangent.shape.keys()].filter((axis) =>
    axis < lead || (input.shape[axis - lead] === 1 && cotangent.shape[axis] !== 1)
  );
  if (axes.length === 0) return cotangent;
  return reshapeTo(g, ReduceSum(g, cotangent, axes), input);
}

/**
 * A cotangent in the shape of the value that it belongs to. Where sizes of x itself and one unknown say it all, the run does not
 * ask for the shape of `like`, so nothing has to compute `like` for that.
 */
export function reshapeTo(g: GraphBuilder, x: Value, like: Value): Value {
  if (isSameShape(x.shape, like.shape)) return x;
  const dims = like.shape.map((dim, axis) =>
    typeof dim === "number" ? dim : dim === x.shape[axis] ? 0 : -1
  );
  return dims.filter((dim) => dim === -1).length <= 1
    ? Reshape(g, x, dims)
    : ReshapeLike(g, x, like);
}

function isSameShape(a: GraphShape, b: GraphShape): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

/** Whether a value is a constant of which all elements are `value`. */
export function isFilledWith(node: PrimalNode, input: Value, value: number): boolean {
  const constant = node.constant(input);
  return constant !== undefined &&
    Array.prototype.every.call(constant.data, (element: number | bigint) => element === value);
}

/** A whole-number attribute. */
export function intAttribute({ op, attributes }: PrimalNode, name: string, absent: number): number {
  const attribute = attributes[name];
  if (attribute === undefined) return absent;
  if ("int" in attribute) return attribute.int;
  throw wrongAttribute(op, name);
}

/** As the runtime sees it: ONNX stores f32. */
export function floatAttribute(
  { op, attributes }: PrimalNode,
  name: string,
  absent: number,
): number {
  const attribute = attributes[name];
  if (attribute === undefined) return absent;
  if ("float" in attribute) return Math.fround(attribute.float);
  throw wrongAttribute(op, name);
}

export function intsAttribute({ op, attributes }: PrimalNode, name: string): readonly number[] {
  const attribute = attributes[name];
  if (attribute && "ints" in attribute) return attribute.ints;
  throw wrongAttribute(op, name);
}

function wrongAttribute(op: OpName, name: string): TuttiError {
  return new TuttiError("INTERNAL", `Attribute "${name}" of ${op} is missing or of another kind`);
}

/** For a form of an operator that our graphs do not have: its derivative would be something else. */
export function unsupported(op: OpName, what: string): TuttiError {
  return new TuttiError("UNIMPLEMENTED", `The derivative of ${op} is not built for ${what}`);
}
