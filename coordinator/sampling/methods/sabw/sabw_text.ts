/**
 * The keys and values that SABW's layers make of the text. The text is one for all steps of an image, so they are computed at
 * the first step and kept for as long as somebody holds the text's states.
 *
 * @module
 */

import type { GraphRunner } from "../../../../shared/engine/graph_runner.ts";
import type { OutputTypes } from "../../../../shared/lane/lane.ts";
import { evaluateShape } from "../../../../shared/onnx/evaluate_dim.ts";
import type { Graph } from "../../../../shared/onnx/graph.ts";
import type { F32Tensor, Tensor } from "../../../../shared/tensor/tensor.ts";

/** By the names of the graph's outputs, which are those of the aggregator's inputs. */
export type TextInputs = Readonly<Record<string, Tensor>>;

export class SabwText {
  readonly #runner: GraphRunner;
  readonly #known = new WeakMap<F32Tensor, Map<Graph, Promise<TextInputs>>>();

  /** @param runner has the graphs */
  constructor(runner: GraphRunner) {
    this.#runner = runner;
  }

  /**
   * @param graph of `sabwTextGraph()`
   * @param states f32 `[B, L, D]`; must not change while it is in use
   */
  inputs(graph: Graph, states: F32Tensor): Promise<TextInputs> {
    const ofStates = this.#known.get(states) ?? new Map<Graph, Promise<TextInputs>>();
    this.#known.set(states, ofStates);
    let inputs = ofStates.get(graph);
    if (inputs === undefined) {
      inputs = this.#compute(graph, states);
      ofStates.set(graph, inputs);
      inputs.catch(() => ofStates.delete(graph)); // The next call tries again.
    }
    return inputs;
  }

  async #compute(graph: Graph, states: F32Tensor): Promise<TextInputs> {
    const [batch, tokens] = states.shape as [number, number, number];
    const sizes = new Map([["B", batch], ["L", tokens]]);
    const types: OutputTypes = Object.fromEntries(
      graph.outputs.map(({ name, dtype, shape }) => [
        name,
        { dtype, shape: evaluateShape(shape, sizes) },
      ]),
    );
    const run = await this.#runner.run(graph.name, { encoder_hidden_states: states }, types);
    return run.outputs;
  }
}
