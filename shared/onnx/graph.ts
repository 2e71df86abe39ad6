/**
 * A typed ONNX graph under construction. Every value carries dtype and shape, every op (`ops/`) checks
 * its inputs and infers its output while building, so ONNX Runtime never sees a bad graph. Weights are references
 * into checkpoint files (`external`); their bytes are not touched here.
 *
 * @module
 */

import { ShapeError } from "../errors.ts";
import type { DType } from "../tensor/dtype.ts";
import type { StridedLayout } from "../tensor/strided.ts";
import { byteLength, bytesOf, formatType, type Shape, type Tensor } from "../tensor/tensor.ts";
import type { GraphShape } from "./dim.ts";
import type { OpName } from "./op_name.ts";

/** A tensor that flows through the graph. */
export interface Value {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: GraphShape;
}

export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] };

export type Attributes = Readonly<Record<string, AttributeValue>>;

/** One operation. `domain` "" is ONNX itself, "com.microsoft" is ONNX Runtime's own set. */
export interface Node {
  readonly op: OpName;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

/** Stands for a file that is not there: whoever loads the graph computes the bytes that it would have. */
export const COMPUTED = "computed";

/** Where a weight's bytes lie: no copy of them is made to build or encode a graph. */
export interface ExternalBytes {
  /** Real path of the file, or `COMPUTED`. */
  readonly path: string;
  readonly offset: number;
  readonly length: number;
  /** The bytes go into the encoded model: their file lies in another folder than the others, or they are gathered. */
  readonly embed?: true;
  /** Where the elements lie from `offset` on, if not one after another; only of bytes that are embedded. */
  readonly layout?: StridedLayout;
}

export type Initializer =
  & { readonly name: string; readonly dtype: DType; readonly shape: Shape }
  & ({ readonly external: ExternalBytes } | { readonly bytes: Uint8Array });

export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly initializers: readonly Initializer[];
  readonly nodes: readonly Node[];
  /** Every tensor of the graph by name, with its dtype and shape. */
  readonly values: ReadonlyMap<string, Value>;
}

export interface NodeOptions {
  readonly domain?: string;
  readonly attributes?: Attributes;
}

export class GraphBuilder {
  readonly #name: string;
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #initializers: Initializer[] = [];
  readonly #weights = new Map<string, Value>();
  readonly #parameters = new Map<string, Value>();
  readonly #counters = new Map<string, number>();
  readonly #nodes: Node[] = [];
  readonly #values = new Map<string, Value>();

  constructor(name: string) {
    this.#name = name;
  }

  /** Declares a graph input. Symbols in the shape are bound by each run. */
  input(name: string, dtype: DType, shape: GraphShape): Value {
    const value = this.#define(name, dtype, shape);
    this.#inputs.push(value);
    return value;
  }

  /** Names a value as a result of the graph. */
  output(name: string, value: Value): void {
    const output = this.node(
      "Identity",
      [value],
      [{ dtype: value.dtype, shape: value.shape }],
      {},
      name,
    );
    this.#outputs.push(output[0]!);
  }

  /** A weight whose bytes stay in their file. The same name twice is the same weight. */
  weight(name: string, dtype: DType, shape: Shape, external: ExternalBytes): Value {
    const known = this.#weights.get(name);
    if (known) return known;
    if (external.length !== byteLength(dtype, shape)) {
      throw new ShapeError(
        `Weight "${name}" of ${formatType(dtype, shape)} must have ${byteLength(dtype, shape)} ` +
          `bytes: current length is ${external.length}`,
      );
    }
    const value = { ...this.#define(name, dtype, shape), shape };
    this.#initializers.push({ ...value, external });
    this.#weights.set(name, value);
    return value;
  }

  /** An input in place of a weight: each run brings its values. The same name twice is the same input. */
  parameter(name: string, dtype: DType, shape: Shape): Value {
    const known = this.#parameters.get(name);
    if (known) return known;
    const value = this.input(name, dtype, shape);
    this.#parameters.set(name, value);
    return value;
  }

  /** A constant that is part of the graph itself. */
  constant(tensor: Tensor, hint = "constant"): Value {
    const { dtype, shape } = tensor;
    const value = { ...this.#define(this.#fresh(hint), dtype, shape), shape };
    this.#initializers.push({ ...value, bytes: bytesOf(tensor) });
    return value;
  }

  /** Appends an operation. Called by the functions of `ops/`, which know each op's rule. */
  node(
    op: OpName,
    inputs: readonly (Value | undefined)[],
    outputs: readonly { readonly dtype: DType; readonly shape: GraphShape }[],
    options: NodeOptions = {},
    outputName?: string,
  ): Value[] {
    const values = outputs.map(({ dtype, shape }) =>
      this.#define(outputName ?? this.#fresh(op.toLowerCase()), dtype, shape)
    );
    this.#nodes.push({
      op,
      domain: options.domain ?? "",
      inputs: inputs.map((value) => value?.name ?? ""),
      outputs: values.map(({ name }) => name),
      attributes: options.attributes ?? {},
    });
    return values;
  }

  build(): Graph {
    return {
      name: this.#name,
      inputs: this.#inputs,
      outputs: this.#outputs,
      initializers: this.#initializers,
      nodes: this.#nodes,
      values: this.#values,
    };
  }

  #define(name: string, dtype: DType, shape: GraphShape): Value {
    if (this.#values.has(name)) throw new ShapeError(`Graph value "${name}" is already defined`);
    const value = { name, dtype, shape };
    this.#values.set(name, value);
    return value;
  }

  #fresh(hint: string): string {
    const index = this.#counters.get(hint) ?? 0;
    this.#counters.set(hint, index + 1);
    return `${hint}_${index}`;
  }
}
