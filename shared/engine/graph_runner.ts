/**
 * Graphs by name over a set of lanes. A graph's session is created in a lane when the lane first runs
 * it, and stays. Lanes do not share weights: each that runs a graph holds its own.
 *
 * @module
 */

import { isKnownProviderProblem, providerError } from "../device/provider_error.ts";
import { TuttiError } from "../errors.ts";
import { Lane, type OutputTypes, type RunResult } from "../lane/lane.ts";
import { encodeModel } from "../onnx/encode.ts";
import type { Graph } from "../onnx/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type ComputeOptions, lowerGraph } from "./lower_graph.ts";

export class GraphRunner implements AsyncDisposable {
  readonly #options: ComputeOptions;
  readonly #graphs: Map<string, Graph>;
  readonly #lanes: readonly { readonly lane: Lane; readonly loaded: Map<string, Promise<void>> }[];

  constructor(graphs: readonly Graph[], options: ComputeOptions & { readonly lanes: number }) {
    this.#options = options;
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
      loading = lane.loadGraph(name, encodeModel(lowerGraph(this.#graph(name), this.#options)));
      loaded.set(name, loading);
      loading.catch(() => loaded.delete(name)); // The next call tries again.
    }
    const start = performance.now();
    try {
      await loading;
      const loadingMs = performance.now() - start;
      const result = await lane.run(name, inputs, outputs);
      return { ...result, queueMs: result.queueMs + loadingMs };
    } catch (cause) {
      const { code, message } = this.#explain(TuttiError.from(cause, "INTERNAL"));
      throw new TuttiError(code, `Cannot run "${name}": ${message}`, {
        cause,
        details: { graph: name },
      });
    }
  }

  /** Ends every session: its memory is free and its profile is written. A call that comes after creates it anew. */
  async releaseGraphs(): Promise<void> {
    for (const { lane, loaded } of this.#lanes) {
      const graphs = [...loaded];
      loaded.clear();
      for (const [name, loading] of graphs) {
        await loading.then(() => lane.releaseGraph(name), () => {/* Never loaded. */});
      }
    }
  }

  /** Says what can be done about a device that is full or away. */
  #explain(error: TuttiError): TuttiError {
    const { device } = this.#options;
    return isKnownProviderProblem(device, error.message)
      ? providerError(device, error.message)
      : error;
  }

  #graph(name: string): Graph {
    const graph = this.#graphs.get(name);
    if (!graph) throw new TuttiError("NOT_FOUND", `There is no graph "${name}"`);
    return graph;
  }

  /** Ends all lanes; settles when nothing of them is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#lanes.map(({ lane }) => lane[Symbol.asyncDispose]()));
  }
}
