/**
 * The way back through one block: gradients of its inputs from the gradient of its output. The graph is built and loaded at the
 * first call, so whoever only samples pays nothing.
 *
 * @module
 */

import type { BlockId } from "../models/blocks.ts";
import type { UNetConfig } from "../models/config/unet_config.ts";
import type { UNetBlock } from "../models/unet/block_table.ts";
import { blockVjpGraph } from "../models/unet/block_vjp.ts";
import { Weights, type WeightTable } from "../models/weights.ts";
import { checkFinite, checkTensor } from "../tensor/check.ts";
import type { F32Tensor } from "../tensor/tensor.ts";
import type { BackwardResult, StatelessBackward } from "./block_expert.ts";
import { blockInputs } from "./block_inputs.ts";
import type { ExpertDescription } from "./expert.ts";
import type { GraphRunner } from "./graph_runner.ts";

/** What the graphs are built from. */
export interface BackwardSource {
  readonly config: UNetConfig;
  readonly weights: WeightTable;
  readonly description: ExpertDescription;
}

export const backwardGraphName = (block: BlockId): string => `${block} vjp`;

/**
 * @throws {ShapeError} naming the first input that is missing or of the wrong shape
 * @throws {TuttiError} DATA_LOSS if a gradient is not finite
 */
export async function blockBackward(
  runner: GraphRunner,
  { config, weights, description }: BackwardSource,
  block: UNetBlock,
  request: StatelessBackward,
): Promise<BackwardResult> {
  const { inputs, outputShape } = blockInputs(block, description, request);
  const { gradOutput, hiddenStates, residual } = request;
  checkTensor("grad_output", gradOutput, "float32", outputShape);
  const graph = backwardGraphName(block.id);
  // Gradients are many magnitudes apart: in 16 bits the small ones would be zero.
  const build = () => blockVjpGraph(block, config, Weights.of(weights));
  runner.add(graph, build, { fullPrecision: true });
  const like = ({ shape }: F32Tensor) => ({ dtype: "float32", shape }) as const;
  const wanted = {
    grad_hidden_states: like(hiddenStates),
    ...(block.skipFrom && residual && { grad_residual: like(residual) }),
  };
  const { outputs, computeMs, queueMs } = await runner.run(
    graph,
    { ...inputs, grad_output: gradOutput },
    wanted,
  );
  for (const [name, gradient] of Object.entries(outputs)) {
    checkFinite(`${name} of ${description.name} ${block.id}`, gradient as F32Tensor, {
      model: description.name,
      block: block.id,
    });
  }
  const gradResidual = outputs.grad_residual as F32Tensor | undefined;
  return {
    gradHiddenStates: outputs.grad_hidden_states as F32Tensor,
    ...(gradResidual && { gradResidual }),
    computeMs,
    queueMs,
  };
}
