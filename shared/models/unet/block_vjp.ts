/** The gradient of one U-Net block as a graph. @module */

import type { Graph } from "../../onnx/graph.ts";
import { vjpGraph } from "../../onnx/vjp.ts";
import type { UNetConfig } from "../config/unet_config.ts";
import type { Weights } from "../weights.ts";
import { unetBlockGraph } from "./block_graph.ts";
import type { UNetBlock } from "./block_table.ts";

/** Inputs of a block that a gradient can be wanted of. */
export type BlockInput = "hidden_states" | "residual" | "temb" | "encoder_hidden_states";

/** What training SABW through frozen experts needs: the way back to the blocks before. */
export function blockInputsOnTheWayBack(block: UNetBlock): readonly BlockInput[] {
  return block.skipFrom === undefined ? ["hidden_states"] : ["hidden_states", "residual"];
}

/**
 * Inputs: those of `unetBlockGraph()`, and `grad_output` f32 in the shape of its output. Outputs: `grad_<input>` for each of
 * `wrt`, in the input's shape. The block is computed again inside.
 *
 * @throws {ShapeError} if the block has no such input
 */
export function blockVjpGraph(
  block: UNetBlock,
  config: UNetConfig,
  weights: Weights,
  wrt: readonly BlockInput[] = blockInputsOnTheWayBack(block),
): Graph {
  return vjpGraph(unetBlockGraph(block, config, weights, "primitive"), { wrt });
}
