/**
 * A checkpoint's tensors as the graph builder sees them: looked up by diffusers key under nested
 * scopes, so the code tree is the checkpoint tree. Problems are collected while all graphs of a model are
 * built and reported together by `check()`: one error lists every missing, mis-shaped and unused key.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { GraphBuilder, Value } from "../onnx/graph.ts";
import { Cast } from "../onnx/ops/elementwise.ts";
import { Reshape, Slice } from "../onnx/ops/movement.ts";
import { type DType, DTYPES } from "../tensor/dtype.ts";
import { elementCount, type Shape } from "../tensor/tensor.ts";
import { updatedWeight, type WeightUpdate } from "./low_rank.ts";
import { rowsOf, weightBytes } from "./weight_rows.ts";

/** Where one tensor lies. */
export interface WeightLocation {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Real path of the file, or `COMPUTED`. */
  readonly path: string;
  readonly offset: number;
  /** Bytes of its elements, wherever they lie. */
  readonly length: number;
  /** Where elements do not lie in row-major order: how many elements further the next index of each axis is. */
  readonly strides?: readonly number[];
  /** What the file calls its dtype, where Tutti does not know it: nothing can be done with its bytes. */
  readonly foreignDtype?: string;
  /** `[1]`, or `[M]` for one per row: its values are those of the file times this. */
  readonly scale?: WeightLocation;
  /** What LoRAs add to it, in this order. */
  readonly updates?: readonly WeightUpdate[];
}

/** Diffusers key -> location, of one part (U-Net, text encoder, VAE, one aggregator). */
export type WeightTable = ReadonlyMap<string, WeightLocation>;

/** Keys that may stay unused in any part: buffers that old exports carry along, and a projection that nobody asks for. */
const IGNORED = /(^|\.)(position_ids|logit_scale)$|^text_projection(\.weight)?$/;

/** What a weight may be stored as. Whole numbers are codes of some quantisation, not values. */
export const FLOATS: readonly DType[] = [
  "float64",
  "float32",
  "float16",
  "bfloat16",
  "float8_e4m3fn",
  "float8_e5m2",
];

/** Shown of a long list of keys. */
const LISTED_KEYS = 12;

/** Which elements of a weight a graph wants, and in which shape. */
export interface WeightView {
  /** First row, and one past the last. */
  readonly rows?: readonly [number, number];
  /** Same elements, same order: `[C, 1, 1]` for a bias. */
  readonly shape?: Shape;
}

interface Ledger {
  readonly table: WeightTable;
  readonly demanded: Map<string, Shape>;
  readonly used: Set<string>;
  readonly misshaped: Set<string>;
  /** Dtype -> keys of weights that are codes, not values. */
  readonly coded: Map<string, string[]>;
  /** Whether weights are inputs of the graphs instead of references into files. */
  readonly asInputs: boolean;
}

export class Weights {
  readonly #ledger: Ledger;
  readonly #prefix: string;

  private constructor(ledger: Ledger, prefix: string) {
    this.#ledger = ledger;
    this.#prefix = prefix;
  }

  static of(table: WeightTable): Weights {
    return Weights.#over(table, false);
  }

  /**
   * Weights that every run brings, f32 inputs under their keys: for training, where they change from step to step.
   * `demanded` lists what the graphs then take.
   */
  static asInputs(): Weights {
    return Weights.#over(new Map(), true);
  }

  static #over(table: WeightTable, asInputs: boolean): Weights {
    const ledger = {
      table,
      demanded: new Map<string, Shape>(),
      used: new Set<string>(),
      misshaped: new Set<string>(),
      coded: new Map<string, string[]>(),
      asInputs,
    };
    return new Weights(ledger, "");
  }

  /** The tensors below `path`: `weights.scope("down_blocks", 1, "resnets", 0)`. */
  scope(...path: readonly (string | number)[]): Weights {
    return new Weights(this.#ledger, `${this.#prefix}${path.join(".")}.`);
  }

  /**
   * Every tensor that a graph asked for so far, with the shape that it must have: over an empty table, the list of what
   * an architecture consists of.
   */
  get demanded(): ReadonlyMap<string, Shape> {
    return this.#ledger.demanded;
  }

  has(key: string): boolean {
    return this.#ledger.table.has(this.#prefix + key);
  }

  /**
   * A weight as an f32 value of the graph. Shorter ones get a Cast, which ONNX Runtime folds at load.
   *
   * @param shape what the architecture demands
   * @param view other rows or another shape of the same elements, where a graph wants that; no bytes are copied
   */
  tensor(g: GraphBuilder, key: string, shape: Shape, view: WeightView = {}): Value {
    const name = this.#prefix + key;
    const { table, demanded, used } = this.#ledger;
    demanded.set(name, shape);
    used.add(name);
    if (this.#ledger.asInputs) return parameter(g, name, shape, view);
    const location = table.get(name);
    if (!location || !this.#fits(name, location, shape)) return placeholder(g, name, shape, view);
    const { dtype } = location;
    const [first, end] = view.rows ?? [0, shape[0]!];
    if (location.updates || location.scale) {
      return updatedWeight(g, name, location, [first, end], viewShape(shape, view));
    }
    const source = view.rows ? rowsOf(location, [first, end]) : location;
    const value = g.weight(
      name + viewSuffix(view),
      dtype,
      viewShape(shape, view),
      weightBytes(source),
    );
    return Cast(g, value, "float32", DTYPES.float32.onnx);
  }

  /** Notes what is wrong with a tensor, for `check()`. */
  #fits(
    name: string,
    { dtype, foreignDtype, shape: actual }: WeightLocation,
    shape: Shape,
  ): boolean {
    const { misshaped, coded } = this.#ledger;
    if (!isSameShape(actual, shape)) {
      misshaped.add(`${name} must be [${shape}]: current shape is [${actual}]`);
    } else if (!FLOATS.includes(dtype)) {
      const type = foreignDtype ?? dtype;
      coded.set(type, [...coded.get(type) ?? [], name]);
    } else return true;
    return false;
  }

  /**
   * To be called after every graph of the part was built.
   *
   * @param part what the message calls it: `U-Net of "expert-a"`
   * @throws {FormatError} that lists missing, mis-shaped and unused keys
   */
  check(part: string): void {
    const { table, demanded, used, misshaped, coded } = this.#ledger;
    const missing = [...demanded].filter(([name]) => !table.has(name));
    const unused = [...table.keys()].filter((key) => !used.has(key) && !IGNORED.test(key));
    const problems = [
      ...coded.entries().map(([type, keys]) =>
        `${keys.length} of type ${type}, which has to be one of ${FLOATS.join(", ")} ` +
        `(${keys[0]}${keys.length > 1 ? ", ..." : ""}): get the model in fp8, f16 or bf16`
      ),
      listKeys("missing", missing.map(([name, shape]) => `${name} [${shape}]`)),
      listKeys("mis-shaped", [...misshaped]),
      listKeys("unused", unused),
    ].filter((line) => line !== "");
    if (problems.length > 0) {
      throw new FormatError(`${part} does not fit its config: ${problems.join("; ")}`, {
        details: {
          missing: String(missing.length),
          misshaped: String(misshaped.size),
          unused: String(unused.length),
        },
      });
    }
  }
}

function viewShape(shape: Shape, { rows, shape: as }: WeightView): Shape {
  return as ?? (rows ? [rows[1] - rows[0], ...shape.slice(1)] : shape);
}

function viewSuffix({ rows, shape }: WeightView): string {
  return `${rows ? `:rows ${rows.join("-")}` : ""}${shape ? `:${shape.join("x")}` : ""}`;
}

/** The view as nodes over the whole weight, so that its gradient comes out whole, too. */
function parameter(g: GraphBuilder, name: string, shape: Shape, view: WeightView): Value {
  const whole = g.parameter(name, "float32", shape);
  const rows = view.rows ? Slice(g, whole, 0, ...view.rows) : whole;
  return view.shape ? Reshape(g, rows, view.shape) : rows;
}

/** Stands in for a tensor that `check()` will report; such a graph is never encoded. */
function placeholder(g: GraphBuilder, name: string, shape: Shape, view: WeightView): Value {
  const wanted = viewShape(shape, view);
  const length = elementCount(wanted) * DTYPES.float32.bytes;
  return g.weight(`${name}${viewSuffix(view)}?`, "float32", wanted, {
    path: "",
    offset: 0,
    length,
  });
}

/** Equal, or a 1x1 convolution's weight `[M, C, 1, 1]` where a matrix `[M, C]` is wanted: same elements, same order. */
function isSameShape(actual: Shape, wanted: Shape): boolean {
  if (actual.join() === wanted.join()) return true;
  return wanted.length === 2 && actual.join() === [...wanted, 1, 1].join();
}

/** `3 missing (a, b, c)`; empty for no keys. */
export function listKeys(kind: string, keys: readonly string[]): string {
  if (keys.length === 0) return "";
  const more = keys.length > LISTED_KEYS ? `, and ${keys.length - LISTED_KEYS} more` : "";
  return `${keys.length} ${kind} (${keys.slice(0, LISTED_KEYS).join(", ")}${more})`;
}
