/**
 * Graphs by name over a set of lanes. A graph's session is created in a lane when the lane first runs
 * it, and stays. Lanes do not share weights: each that runs a graph holds its own.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import { Lane, type OutputTypes, type RunResult } from "../lane/lane.ts";
import type { LaneOptions } from "../lane/protocol.ts";
import { encodeModel } from "../onnx/encode.ts";
import type { Graph } from "../onnx/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";

export class GraphRunner implements Disposable {
  readonly #graphs: Map<string, Graph>;
  readonly #lanes: readonly { readonly lane: Lane; readonly loaded: Map<string, Promise<void>> }[];

  constructor(graphs: readonly Graph[], options: LaneOptions & { readonly lanes: number }) {
    this.#graphs = new Map(graphs.map((graph) => [graph.name, graph]));
    this.#lanes = Array.from({ length: options.lanes }, () => ({
      lane: new Lane(options),
      loaded: new Map<string, Promise<void>>(),
    }));
  }

  /** Calls that wait or run in each lane. */
  get loads(): readonly number[] {
    return this.#lanes.map(({ lane }) => lane.load);
  }

  /** Brings in a graph that only some calls need; one that is there already stays. */
  add(name: string, build: () => Graph): void {
    if (!this.#graphs.has(name)) this.#graphs.set(name, build());
  }

  /**
   * Runs a graph on the least loaded lane.
   *
   * @throws {TuttiError} INTERNAL if the runtime refuses; the message names the graph
   */
  async run(
    name: string,
    inputs: Readonly<Record<string, Tensor>>,
    outputs: OutputTypes,
  ): Promise<RunResult> {
    const { lane, loaded } = this.#lanes.reduce((best, next) =>
      next.lane.load < best.lane.load ? next : best
    );
    let loading = loaded.get(name);
    if (loading === undefined) {
      loading = lane.loadGraph(name, encodeModel(this.#graph(name)));
      loaded.set(name, loading);
      loading.catch(() => loaded.delete(name)); // The next call tries again.
    }
    try {
      await loading;
      return await lane.run(name, inputs, outputs);
    } catch (cause) {
      const { code, message } = TuttiError.from(cause, "INTERNAL");
      throw new TuttiError(code, `Cannot run "${name}": ${message}`, {
        cause,
        details: { graph: name },
      });
    }
  }

  #graph(name: string): Graph {
    const graph = this.#graphs.get(name);
    if (!graph) throw new TuttiError("NOT_FOUND", `There is no graph "${name}"`);
    return graph;
  }

  [Symbol.dispose](): void {
    for (const { lane } of this.#lanes) lane[Symbol.dispose]();
  }
}
