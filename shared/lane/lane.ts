/**
 * The near side of a lane: loads graphs into it and runs them, without ever blocking this thread.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { KnownMerge } from "../merging/merged_file.ts";
import type { EncodedModel } from "../onnx/encode.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Shape, Tensor } from "../tensor/tensor.ts";
import { addressOf, alignedTensor, checkAligned, toAligned } from "./aligned_memory.ts";
import { acquireGpuThread, releaseGpuThread } from "./gpu_thread.ts";
import { LaneThread, type Unnumbered } from "./lane_thread.ts";
import type { LaneOptions, LaneRequest, TensorRef } from "./protocol.ts";

/**
 * What a run is to give back: ONNX Runtime writes into a given tensor, whose address 64 must divide, or into memory
 * that is allocated for a dtype and shape.
 */
export type OutputTypes = Readonly<
  Record<string, Tensor | { readonly dtype: DType; readonly shape: Shape }>
>;

export interface RunResult {
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** In the lane, without waiting for it. */
  readonly computeMs: number;
  /** Waiting for the lane. */
  readonly queueMs: number;
}

/** A request as this lane's methods give it. */
type Unaddressed<R> = R extends LaneRequest ? Omit<R, "id" | "lane"> : never;

/** Of the lanes of this process. */
let lastNumber = 0;

export class Lane implements AsyncDisposable {
  readonly #options: LaneOptions;
  /** The first one, and a second where it has loaded while the first was busy. */
  readonly #threads: LaneThread[];
  /** On which thread a graph's session is. */
  readonly #homes = new Map<string, LaneThread>();
  readonly #number = ++lastNumber;
  /** Rejects the calls that wait or run. */
  readonly #open = new Set<(error: TuttiError) => void>();
  #closed: Promise<void> | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#threads = [options.device === "webgpu" ? acquireGpuThread() : new LaneThread()];
  }

  /** Calls that wait or run now. */
  get load(): number {
    return this.#open.size;
  }

  /**
   * Creates the graph's session. Loading reads the weights, so it takes time; the graph's runs wait behind it.
   *
   * @param merge of whose result the weights are that lie in no file
   */
  async loadGraph(
    graph: string,
    { bytes, weightsFolder, computed: parts }: EncodedModel,
    merge?: KnownMerge,
  ): Promise<void> {
    if (this.#closed) throw closedError();
    const options = this.#options;
    const computed = merge && parts && { computed: { merge, parts } };
    const home = this.#loadingThread();
    this.#homes.set(graph, home);
    const request = {
      kind: "load",
      graph,
      model: bytes,
      weightsFolder,
      ...computed,
      options,
    } as const;
    await this.#request(request, [], home);
  }

  /**
   * Runs a loaded graph. Inputs are read in place: they must not change until the promise settles.
   *
   * @throws {TuttiError} INTERNAL with the runtime's message
   */
  async run(
    graph: string,
    inputs: Readonly<Record<string, Tensor>>,
    outputTypes: OutputTypes,
  ): Promise<RunResult> {
    const feeds = mapValues(inputs, toAligned);
    const outputs = mapValues(
      outputTypes,
      (type) => "data" in type ? checkAligned(type) : alignedTensor(type.dtype, type.shape),
    );
    const start = performance.now();
    const computeMs = await this.#request(
      { kind: "run", graph, feeds: mapValues(feeds, refOf), fetches: mapValues(outputs, refOf) },
      [...Object.values(feeds), ...Object.values(outputs)],
      this.#homes.get(graph),
    );
    return { outputs, computeMs, queueMs: performance.now() - start - computeMs };
  }

  async releaseGraph(graph: string): Promise<void> {
    const home = this.#homes.get(graph);
    this.#homes.delete(graph);
    await this.#request({ kind: "release", graph }, [], home);
  }

  /**
   * Rejects what waits and what comes. A run that has begun is not stopped, and nobody gets its result. Settles when
   * nothing of the lane is left: its sessions' memory is free, and the process may end.
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    for (const reject of this.#open) reject(closedError());
    this.#open.clear();
    // Sessions that are still there when their thread ends are never freed, and on a GPU take the process down.
    await Promise.all(this.#threads.map(async (thread) => {
      const released = thread.request({ kind: "close", lane: this.#number }).catch(() => {});
      if (this.#options.device === "webgpu") {
        await Promise.all([released, releaseGpuThread(thread)]);
        return;
      }
      await released;
      thread.terminate(closedError());
    }));
  }

  /**
   * Loading takes one core. Where the lane has more, a second thread loads while the first one does, or computes: only the
   * thread that made a session can run it, so each keeps what it loaded.
   */
  #loadingThread(): LaneThread {
    const [first, second] = this.#threads as [LaneThread, LaneThread?];
    const { device, threads } = this.#options;
    if (first.load === 0 || device !== "cpu" || threads === 1) return first;
    if (second) return second.load <= first.load ? second : first;
    const added = new LaneThread();
    this.#threads.push(added);
    return added;
  }

  async #request(
    request: Unaddressed<LaneRequest>,
    tensors: readonly Tensor[],
    thread: LaneThread = this.#threads[0]!,
  ): Promise<number> {
    if (this.#closed) throw closedError();
    const { promise: closed, reject } = Promise.withResolvers<never>();
    this.#open.add(reject);
    try {
      const addressed = { ...request, lane: this.#number } as Unnumbered<LaneRequest>;
      return await Promise.race([thread.request(addressed, tensors), closed]);
    } finally {
      this.#open.delete(reject);
    }
  }
}

function closedError(): TuttiError {
  return new TuttiError("UNAVAILABLE", "The compute lane is closed");
}

function refOf(tensor: Tensor): TensorRef {
  const { dtype, shape, data } = tensor;
  return { dtype, shape, address: data.byteLength === 0 ? 0n : addressOf(tensor) };
}

function mapValues<A, B>(
  record: Readonly<Record<string, A>>,
  map: (value: A) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
