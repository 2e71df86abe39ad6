/**
 * The derivative of a graph is a graph. Reverse mode (the vector-Jacobian product): the forward pass is computed again, then one walk
 * over its nodes from the last to the first hands every node the cotangents of its outputs, and the node's rule
 * (`vjp_rules/`) makes those of its inputs. A value that was used twice gets the sum.
 *
 * @module
 */

import { ShapeError, TuttiError } from "../errors.ts";
import type { DType } from "../tensor/dtype.ts";
import { type Tensor, tensorFromBytes } from "../tensor/tensor.ts";
import { type Graph, GraphBuilder, type Node, type Value } from "./graph.ts";
import { Add } from "./ops/elementwise.ts";
import { ZerosLike } from "./ops/fill.ts";
import { pruneGraph } from "./prune.ts";
import { copyNode } from "./rewrite.ts";
import { shareEqual } from "./share.ts";
import { VJP_RULES } from "./vjp_rules/rule_table.ts";
import type { PrimalNode, VjpRule } from "./vjp_rules/rule.ts";

export interface VjpOptions {
  /** Inputs and weights, by name, with respect to which the gradient is wanted. */
  readonly wrt: readonly string[];
  /** Outputs that a cotangent is given for; the gradient is that of their inner product with it. @default all */
  readonly cotangentsOf?: readonly string[];
  /** Whether the outputs of the graph itself are computed, too. @default false */
  readonly withOutputs?: boolean;
}

/** What the gradient of a value, or the cotangent of an output, is called. */
export const gradientName = (name: string): string => `grad_${name}`;

/**
 * Inputs: those of `graph`, in its order, then `grad_<output>` for each output with a cotangent, in the output's shape. Outputs:
 * `grad_<name>` for each name in `wrt`, in its shape; after them the graph's own outputs if wanted.
 *
 * Only what lies on a path from `wrt` to a cotangent is differentiated, and only what that needs is computed again.
 *
 * @throws {TuttiError} UNIMPLEMENTED naming an operator on such a path that has no derivative
 * @throws {ShapeError} if a name is not one of the graph, or no output depends on it
 */
export function vjpGraph(graph: Graph, options: VjpOptions): Graph {
  const { wrt, cotangentsOf = graph.outputs.map(({ name }) => name), withOutputs = false } =
    options;
  checkNames(graph, wrt, cotangentsOf);
  const g = new GraphBuilder(`${graph.name} vjp`);
  const primal = forwardPass(g, graph);
  const cotangents = new Cotangents(g);
  for (const { name, dtype, shape } of graph.outputs) {
    if (!cotangentsOf.includes(name)) continue;
    cotangents.add(primal.values.get(name)!, g.input(gradientName(name), dtype, shape));
  }
  const varying = varyingNames(graph, wrt);
  for (const node of primal.nodes.toReversed()) backward(g, graph.name, node, cotangents, varying);
  for (const name of wrt) {
    const gradient = cotangents.of(primal.values.get(name)!);
    if (!gradient) throw new ShapeError(`No output of graph "${graph.name}" depends on "${name}"`);
    g.output(gradientName(name), gradient);
  }
  if (withOutputs) {
    for (const { name } of graph.outputs) g.output(name, primal.values.get(name)!);
  }
  return pruneGraph(shareEqual(g.build()));
}

function checkNames(graph: Graph, wrt: readonly string[], cotangentsOf: readonly string[]): void {
  const names = (values: readonly { readonly name: string; readonly dtype: DType }[]) =>
    values.filter(({ dtype }) => isFloat(dtype)).map(({ name }) => name);
  for (
    const [kind, wanted, known] of [
      ["input or weight", wrt, names([...graph.inputs, ...graph.initializers])],
      ["output", cotangentsOf, names(graph.outputs)],
    ] as const
  ) {
    const odd = wanted.find((name) => !known.includes(name));
    if (odd !== undefined) {
      throw new ShapeError(`Graph "${graph.name}" has no ${kind} "${odd}" of floats`);
    }
    if (wanted.length === 0) throw new ShapeError(`A derivative needs at least one ${kind}`);
  }
}

/** Whole numbers (shapes, indices) have no derivative. */
function isFloat(dtype: DType): boolean {
  return /^b?float/.test(dtype);
}

/** A node between values of the new graph, and what its inputs were called in the old one. */
interface RecomputedNode extends PrimalNode {
  readonly old: Node;
}

interface Forward {
  readonly nodes: readonly RecomputedNode[];
  /** Old name -> new value. Outputs name what goes into them. */
  readonly values: ReadonlyMap<string, Value>;
}

function forwardPass(g: GraphBuilder, graph: Graph): Forward {
  const values = new Map<string, Value>();
  const constants = new Map<string, Tensor>();
  for (const { name, dtype, shape } of graph.inputs) values.set(name, g.input(name, dtype, shape));
  for (const initializer of graph.initializers) {
    const { name, dtype, shape } = initializer;
    if ("external" in initializer) {
      values.set(name, g.weight(name, dtype, shape, initializer.external));
      continue;
    }
    const tensor = tensorFromBytes(dtype, shape, initializer.bytes);
    const value = g.constant(tensor, name.replace(/_\d+$/, ""));
    values.set(name, value);
    constants.set(value.name, tensor);
  }
  const outputNames = new Set(graph.outputs.map(({ name }) => name));
  const nodes: RecomputedNode[] = [];
  for (const old of graph.nodes) {
    const inputs = old.inputs.map((name) => name === "" ? undefined : values.get(name)!);
    if (outputNames.has(old.outputs[0]!)) {
      // `GraphBuilder.output()` puts an Identity before each output.
      values.set(old.outputs[0]!, inputs[0]!);
      continue;
    }
    const outputs = copyNode(g, {
      ...old,
      inputs,
      outputs: old.outputs.map((name) => graph.values.get(name)!),
    });
    old.outputs.forEach((name, i) => values.set(name, outputs[i]!));
    const constant = (value: Value) => constants.get(value.name);
    nodes.push({ op: old.op, attributes: old.attributes, inputs, outputs, constant, old });
  }
  return { nodes, values };
}

/** Names of what changes smoothly with one of `wrt`. */
function varyingNames(graph: Graph, wrt: readonly string[]): ReadonlySet<string> {
  const varying = new Set(wrt);
  for (const { inputs, outputs } of graph.nodes) {
    if (!inputs.some((name) => varying.has(name))) continue;
    for (const name of outputs) {
      if (isFloat(graph.values.get(name)!.dtype)) varying.add(name);
    }
  }
  return varying;
}

/** One node of the walk: from the cotangents of its outputs to those of its inputs that vary. */
function backward(
  g: GraphBuilder,
  graphName: string,
  node: RecomputedNode,
  cotangents: Cotangents,
  varying: ReadonlySet<string>,
): void {
  const { old, inputs, outputs } = node;
  if (!old.inputs.some((name) => varying.has(name))) return;
  const given = outputs.map((output) => cotangents.of(output));
  if (given.every((cotangent) => cotangent === undefined)) return;
  const [first, ...others] = given.map((cotangent, i) => cotangent ?? ZerosLike(g, outputs[i]!));
  const rowProducts = cotangents.rowProductsOf(outputs[0]!);
  const known = rowProducts ? { ...node, rowProducts } : node;
  const built = ruleOf(node, graphName)(g, known, [first!, ...others]);
  old.inputs.forEach((name, i) => {
    const input = inputs[i];
    const cotangent = built[i];
    if (!input || !cotangent || !varying.has(name)) return;
    cotangents.add(input, cotangent(), cotangent.rowProducts);
  });
}

function ruleOf({ op }: PrimalNode, graphName: string): VjpRule {
  const entry = VJP_RULES[op];
  if (typeof entry === "function") return entry;
  throw new TuttiError(
    "UNIMPLEMENTED",
    `Operator ${op} of graph "${graphName}" has no derivative: ${entry.none}`,
    { details: { graph: graphName, op } },
  );
}

/** The cotangent of every value so far. */
class Cotangents {
  readonly #g: GraphBuilder;
  readonly #sums = new Map<string, Value>();
  /** Of values whose cotangent is one term. */
  readonly #rowProducts = new Map<string, () => Value>();

  constructor(g: GraphBuilder) {
    this.#g = g;
  }

  /** Complete once all nodes that use the value were walked over. */
  of({ name }: Value): Value | undefined {
    return this.#sums.get(name);
  }

  /** Builds the sum of value times cotangent over the last axis, where that is known. */
  rowProductsOf({ name }: Value): (() => Value) | undefined {
    return this.#rowProducts.get(name);
  }

  /** @throws {ShapeError} if the cotangent is not in the value's shape: a rule is wrong */
  add(value: Value, cotangent: Value, rowProducts?: () => Value): void {
    if (cotangent.shape.join() !== value.shape.join() || cotangent.dtype !== value.dtype) {
      throw new ShapeError(
        `Cotangent of "${value.name}" must have its shape [${value.shape}]: current shape is [${cotangent.shape}]`,
      );
    }
    const sum = this.#sums.get(value.name);
    this.#sums.set(value.name, sum ? Add(this.#g, sum, cotangent) : cotangent);
    if (!sum && rowProducts) this.#rowProducts.set(value.name, rowProducts);
    else this.#rowProducts.delete(value.name);
  }
}
