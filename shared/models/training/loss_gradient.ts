/** A loss and its gradient by weights, in one graph: one run is all that a step of training computes of the model. @module */

import type { Graph } from "../../onnx/graph.ts";
import { smallConvolutionsAsProducts } from "../../onnx/small_convolutions.ts";
import { vjpGraph } from "../../onnx/vjp.ts";

/**
 * Inputs: those of the loss graph and `grad_losses`, how much each row counts. Outputs: `grad_<key>` of each weight, and
 * `losses`.
 *
 * @param keys of the weights that are trained
 */
export function lossGradientGraph(graph: Graph, keys: readonly string[]): Graph {
  return smallConvolutionsAsProducts(vjpGraph(graph, { wrt: keys, withOutputs: true }));
}
