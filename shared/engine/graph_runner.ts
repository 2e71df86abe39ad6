/**
 * Graphs by name over a set of lanes. A graph's session is created in a lane when the lane first runs
 * it, and stays until it is released. Lanes do not share weights: each that runs a graph holds its own.
 *
 * @module
 */

import { isKnownProviderProblem, providerError } from "../device/provider_error.ts";
import { TuttiError } from "../errors.ts";
import { Lane, type OutputTypes, type RunResult } from "../lane/lane.ts";
import { type EncodedModel, encodeModel } from "../onnx/encode.ts";
import { FileStamps } from "../weight_file/file_stamps.ts";
import type { KnownMerge } from "../merging/merged_file.ts";
import { COMPUTED, type Graph } from "../onnx/graph.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { elementCount, type Tensor } from "../tensor/tensor.ts";
import { type ComputeOptions, lowerGraph } from "./lower_graph.ts";

interface RunnerLane {
  readonly lane: Lane;
  /** By graph, from the moment its loading is asked for. */
  readonly loaded: Map<string, Loading>;
  /** To be loaded before they are asked for, in this order. */
  ahead: readonly string[];
  /** That wait or run. */
  calls: number;
}

interface Loading {
  readonly done: Promise<void>;
  readonly files: readonly string[];
  isDone: boolean;
}

/** As many as a lane has threads that load. */
const LOADED_AT_A_TIME = 2;

/** A run's result, and how long the graph's weights were waited for. */
export interface GraphResult extends RunResult {
  readonly loadMs: number;
}

export class GraphRunner implements AsyncDisposable {
  readonly #options: ComputeOptions;
  readonly #graphs: Map<string, Graph>;
  /** Graphs that are computed in f32 on any device. */
  readonly #inFull = new Set<string>();
  readonly #lanes: readonly RunnerLane[];
  readonly #stamps: FileStamps;
  #merge: KnownMerge | undefined;

  constructor(
    graphs: readonly Graph[],
    { lanes, merge, stamps, ...options }: ComputeOptions & {
      readonly lanes: number;
      /** Of the files that the weights are in. @default as they are now */
      readonly stamps?: FileStamps;
      /** Of whose result the weights are that lie in no file. */
      readonly merge?: KnownMerge;
    },
  ) {
    this.#options = options;
    this.#merge = merge;
    this.#stamps = stamps ?? FileStamps.of(filesOf(graphs));
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
      loaded: new Map<string, Loading>(),
      ahead: [],
      calls: 0,
    }));
  }

  /** Calls that wait or run in each lane. */
  get loads(): readonly number[] {
    return this.#lanes.map(({ calls }) => calls);
  }

  /** Names of the graphs that some lane loads now. */
  get loadingGraphs(): ReadonlySet<string> {
    return new Set(
      this.#lanes.flatMap(({ loaded }) =>
        [...loaded].flatMap(([name, { isDone }]) => isDone ? [] : [name])
      ),
    );
  }

  /** Names of the graphs that some lane holds or loads. */
  get loadedGraphs(): ReadonlySet<string> {
    return new Set(this.#lanes.flatMap(({ loaded }) => [...loaded.keys()]));
  }

  /** What a graph's weights take in memory, in the dtype that processors compute in. */
  weightBytes(name: string): number {
    const elements = this.#graph(name).initializers.map(({ shape }) => elementCount(shape));
    return elements.reduce((sum, count) => sum + count, 0) * DTYPES.float32.bytes;
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
  ): Promise<GraphResult> {
    const chosen = this.#leastLoaded();
    // A lane answers in order: the run follows its load and comes before any release that is asked for later.
    const loading = chosen.loaded.get(name) ?? this.#load(chosen, name);
    chosen.calls++;
    const start = performance.now();
    const loaded = loading.isDone ? 0 : loading.done.then(() => performance.now() - start);
    try {
      const [result, loadMs] = await Promise.all([chosen.lane.run(name, inputs, outputs), loaded]);
      this.#stamps.checkInPlace(loading.files);
      return { ...result, loadMs, queueMs: Math.max(0, result.queueMs - loadMs) };
    } catch (cause) {
      throw this.#namedError("run", name, cause);
    } finally {
      chosen.calls--;
    }
  }

  /** Loads a graph where none has been asked to run it yet; one that is there stays. */
  async load(name: string): Promise<void> {
    const chosen = this.#leastLoaded();
    try {
      await (chosen.loaded.get(name) ?? this.#load(chosen, name)).done;
    } catch (cause) {
      throw this.#namedError("load", name, cause);
    }
  }

  /**
   * Loads these graphs one after the other, in the lane that the next call would run in, beside what runs there. One that
   * cannot be loaded is left to the call that needs it.
   */
  loadAhead(names: readonly string[]): void {
    const chosen = this.#leastLoaded();
    const isIdle = chosen.ahead.length === 0;
    chosen.ahead = names.filter((name) => !chosen.loaded.has(name));
    if (isIdle) { for (let i = 0; i < LOADED_AT_A_TIME; i++) void this.#loadNext(chosen); }
  }

  async #loadNext(lane: RunnerLane): Promise<void> {
    for (;;) {
      const name = lane.ahead.find((name) => !lane.loaded.has(name));
      if (name === undefined) {
        lane.ahead = [];
        return;
      }
      try {
        await this.#load(lane, name).done;
      } catch {
        lane.ahead = [];
      }
    }
  }

  #load({ lane, loaded }: RunnerLane, name: string): Loading {
    const model = encodeModel(this.#lowered(name));
    const done = this.#loadUnchanged(lane, name, model);
    const loading: Loading = { done, files: filesOf([this.#graph(name)]), isDone: false };
    loaded.set(name, loading);
    done.then(() => loading.isDone = true, () => {
      // The next call tries again.
      if (loaded.get(name) === loading) loaded.delete(name);
    });
    return loading;
  }

  /** @throws {TuttiError} FAILED_PRECONDITION if a file of weights is not the one that it was */
  async #loadUnchanged(
    lane: Lane,
    name: string,
    model: EncodedModel,
  ): Promise<void> {
    await lane.loadGraph(name, model, this.#merge);
    try {
      this.#stamps.check();
    } catch (error) {
      await lane.releaseGraph(name);
      throw error;
    }
  }

  #leastLoaded(): RunnerLane {
    return this.#lanes.reduce((best, next) => next.calls < best.calls ? next : best);
  }

  /**
   * Ends the sessions of all chosen graphs, after the calls that were made before: their memory is free and their
   * profiles are written. A call that comes after creates them anew.
   */
  async releaseGraphs(isChosen: (name: string) => boolean = () => true): Promise<void> {
    await Promise.all(
      this.#lanes.flatMap((each) => {
        const { lane, loaded } = each;
        each.ahead = each.ahead.filter((name) => !isChosen(name));
        return [...loaded.keys()].filter(isChosen).map((name) => {
          loaded.delete(name);
          return lane.releaseGraph(name);
        });
      }),
    );
  }

  /** From now on graphs are loaded with this merge's weights; those that are loaded keep theirs until they are released. */
  remerge(merge: KnownMerge): void {
    this.#merge = merge;
  }

  #namedError(doing: string, graph: string, cause: unknown): TuttiError {
    const { code, message } = this.#explain(TuttiError.from(cause, "INTERNAL"));
    return new TuttiError(code, `Cannot ${doing} "${graph}": ${message}`, {
      cause,
      details: { graph },
    });
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

/** The files that weights of these graphs are in. */
function filesOf(graphs: readonly Graph[]): string[] {
  const paths = graphs.flatMap(({ initializers }) => initializers)
    .flatMap((initializer) => "external" in initializer ? [initializer.external.path] : [])
    .filter((path) => path !== COMPUTED);
  return [...new Set(paths)];
}
