/**
 * Graphs by name over a set of lanes. A graph's session is created in a lane when the lane first runs
 * it, and stays until it is released. Lanes do not share weights: each that runs a graph holds its own.
 *
 * @module
 */

import { isKnownProviderProblem, providerError } from "../device/provider_error.ts";
import { TuttiError } from "../errors.ts";
import { Lane, type OutputTypes, type RunResult } from "../lane/lane.ts";
import { encodeModel } from "../onnx/encode.ts";
import type { KnownMerge } from "../merging/merged_file.ts";
import type { Graph } from "../onnx/graph.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type ComputeOptions, lowerGraph } from "./lower_graph.ts";

interface RunnerLane {
  readonly lane: Lane;
  /** By graph, from the moment its loading is asked for. */
  readonly loaded: Map<string, Promise<void>>;
  /** That wait or run. */
  calls: number;
}

export class GraphRunner implements AsyncDisposable {
  readonly #options: ComputeOptions;
  readonly #graphs: Map<string, Graph>;
  /** Graphs that are computed in f32 on any device. */
  readonly #inFull = new Set<string>();
  readonly #lanes: readonly RunnerLane[];
  #merge: KnownMerge | undefined;

  constructor(
    graphs: readonly Graph[],
    { lanes, merge, ...options }: ComputeOptions & {
      readonly lanes: number;
      /** Of whose result the weights are that lie in no file. */
      readonly merge?: KnownMerge;
    },
  ) {
    this.#options = options;
    this.#merge = merge;
    this.#graphs = new Map(graphs.map((graph) => [graph.name, graph]));
    if (this.#graphs.size < graphs.length) {
      const names = graphs.map(({ name }) => name);
      const twice = names.find((name, i) => names.indexOf(name) < i);
      throw new TuttiError(
        "INTERNAL",
        `Graphs must have different names: "${twice}" is named twice`,
      );
    }
    this.#lanes = Array.from({ length: lanes }, () => ({
      lane: new Lane(options),
      loaded: new Map<string, Promise<void>>(),
      calls: 0,
    }));
  }

  /** Calls that wait or run in each lane. */
  get loads(): readonly number[] {
    return this.#lanes.map(({ calls }) => calls);
  }

  /** Names of the graphs that some lane holds or loads. */
  get loadedGraphs(): ReadonlySet<string> {
    return new Set(this.#lanes.flatMap(({ loaded }) => [...loaded.keys()]));
  }

  /**
   * Brings in a graph that only some calls need; one that is there already stays.
   *
   * @param options.fullPrecision whether it is computed in f32 also where others are in 16 bits. @default false
   */
  add(
    name: string,
    build: () => Graph,
    { fullPrecision = false }: { readonly fullPrecision?: boolean } = {},
  ): void {
    if (this.#graphs.has(name)) return;
    this.#graphs.set(name, build());
    if (fullPrecision) this.#inFull.add(name);
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
    const chosen = this.#lanes.reduce((best, next) => next.calls < best.calls ? next : best);
    // A lane answers in order: the run follows its load and comes before any release that is asked for later.
    const loading = chosen.loaded.get(name) ?? this.#load(chosen, name);
    chosen.calls++;
    try {
      const [result] = await Promise.all([chosen.lane.run(name, inputs, outputs), loading]);
      return result;
    } catch (cause) {
      const { code, message } = this.#explain(TuttiError.from(cause, "INTERNAL"));
      throw new TuttiError(code, `Cannot run "${name}": ${message}`, {
        cause,
        details: { graph: name },
      });
    } finally {
      chosen.calls--;
    }
  }

  #load({ lane, loaded }: RunnerLane, name: string): Promise<void> {
    const loading = lane.loadGraph(name, encodeModel(this.#lowered(name)), this.#merge);
    loaded.set(name, loading);
    loading.catch(() => {
      // The next call tries again.
      if (loaded.get(name) === loading) loaded.delete(name);
    });
    return loading;
  }

  /**
   * Ends the sessions of all chosen graphs, after the calls that were made before: their memory is free and their
   * profiles are written. A call that comes after creates them anew.
   */
  async releaseGraphs(isChosen: (name: string) => boolean = () => true): Promise<void> {
    await Promise.all(
      this.#lanes.flatMap(({ lane, loaded }) =>
        [...loaded.keys()].filter(isChosen).map((name) => {
          loaded.delete(name);
          return lane.releaseGraph(name);
        })
      ),
    );
  }

  /** From now on graphs are loaded with this merge's weights; those that are loaded keep theirs until they are released. */
  remerge(merge: KnownMerge): void {
    this.#merge = merge;
  }

  /** Says what can be done about a device that is full or away. */
  #explain(error: TuttiError): TuttiError {
    const { device } = this.#options;
    return isKnownProviderProblem(device, error.message)
      ? providerError(device, error.message)
      : error;
  }

  #lowered(name: string): Graph {
    const { lowering, ...options } = this.#options;
    if (!lowering || !this.#inFull.has(name)) return lowerGraph(this.#graph(name), this.#options);
    return lowerGraph(this.#graph(name), {
      ...options,
      lowering: { ...lowering, precision: "f32" },
    });
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
