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
import { type DType, DTYPES } from "../tensor/dtype.ts";
import { elementCount, type Shape } from "../tensor/tensor.ts";

/** Where one tensor lies. */
export interface WeightLocation {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Real path of the safetensors file. */
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** Diffusers key -> location, of one part (U-Net, text encoder, VAE, one aggregator). */
export type WeightTable = ReadonlyMap<string, WeightLocation>;

/** Keys that may stay unused in any part: buffers that old exports carry along. */
const IGNORED = /(^|\.)(position_ids|logit_scale)$/;

/** What a weight may be stored as. Whole numbers are codes of some quantisation, not values. */
const FLOATS: readonly DType[] = ["float64", "float32", "float16", "bfloat16"];

/** Shown of a long list of keys. */
const LISTED_KEYS = 12;

interface Ledger {
  readonly table: WeightTable;
  readonly demanded: Map<string, Shape>;
  readonly used: Set<string>;
  readonly missing: Set<string>;
  readonly misshaped: Set<string>;
}

export class Weights {
  readonly #ledger: Ledger;
  readonly #prefix: string;

  private constructor(ledger: Ledger, prefix: string) {
    this.#ledger = ledger;
    this.#prefix = prefix;
  }

  static of(table: WeightTable): Weights {
    const ledger = {
      table,
      demanded: new Map<string, Shape>(),
      used: new Set<string>(),
      missing: new Set<string>(),
      misshaped: new Set<string>(),
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
   * A weight as an f32 value of the graph. 16-bit weights get a Cast, which ONNX Runtime folds at load.
   *
   * @param shape what the architecture demands
   * @param viewAs another shape over the same elements, where a graph wants one (`[C, 1, 1]` for a bias)
   */
  tensor(g: GraphBuilder, key: string, shape: Shape, viewAs: Shape = shape): Value {
    const name = this.#prefix + key;
    this.#ledger.demanded.set(name, shape);
    const location = this.#ledger.table.get(name);
    const { dtype, ...external } = location ??
      { dtype: "float32" as const, path: "", offset: 0, length: 0 };
    if (location === undefined) this.#ledger.missing.add(`${name} [${shape}]`);
    else if (!isSameShape(location.shape, shape)) {
      this.#ledger.misshaped.add(
        `${name} must be [${shape}]: current shape is [${location.shape}]`,
      );
    } else if (!FLOATS.includes(dtype)) {
      this.#ledger.misshaped.add(
        `${name} must be of ${FLOATS.join(", ")}: current type is ${dtype}`,
      );
    } else {
      this.#ledger.used.add(name);
      const suffix = viewAs === shape ? "" : `:${viewAs.join("x")}`;
      const value = g.weight(name + suffix, dtype, viewAs, {
        path: external.path,
        offset: external.offset,
        length: external.length,
      });
      return Cast(g, value, "float32", DTYPES.float32.onnx);
    }
    this.#ledger.used.add(name);
    // Stands in until check() reports it; such a graph is never encoded.
    const length = elementCount(viewAs) * DTYPES.float32.bytes;
    return g.weight(`${name}?${viewAs.join("x")}`, "float32", viewAs, {
      path: "",
      offset: 0,
      length,
    });
  }

  /**
   * To be called after every graph of the part was built.
   *
   * @param part what the message calls it: `U-Net of "expert-a"`
   * @throws {FormatError} that lists missing, mis-shaped and unused keys
   */
  check(part: string): void {
    const { table, used, missing, misshaped } = this.#ledger;
    const unused = [...table.keys()].filter((key) => !used.has(key) && !IGNORED.test(key));
    const problems = [
      listKeys("missing", [...missing]),
      listKeys("mis-shaped", [...misshaped]),
      listKeys("unused", unused),
    ].filter((line) => line !== "");
    if (problems.length > 0) {
      throw new FormatError(`${part} does not fit its config: ${problems.join("; ")}`, {
        details: {
          missing: String(missing.size),
          misshaped: String(misshaped.size),
          unused: String(unused.length),
        },
      });
    }
  }
}

/** Equal, or a 1x1 convolution's weight `[M, C, 1, 1]` where a matrix `[M, C]` is wanted: same elements, same order. */
function isSameShape(actual: Shape, wanted: Shape): boolean {
  if (actual.join() === wanted.join()) return true;
  return wanted.length === 2 && actual.join() === [...wanted, 1, 1].join();
}

function listKeys(kind: string, keys: readonly string[]): string {
  if (keys.length === 0) return "";
  const more = keys.length > LISTED_KEYS ? `, and ${keys.length - LISTED_KEYS} more` : "";
  return `${keys.length} ${kind} (${keys.slice(0, LISTED_KEYS).join(", ")}${more})`;
}
