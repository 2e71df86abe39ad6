/**
 * The near side of a lane: loads graphs into it and runs them, without ever blocking this thread.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { EncodedModel } from "../onnx/encode.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Shape, Tensor } from "../tensor/tensor.ts";
import { addressOf, alignedTensor, toAligned } from "./aligned_memory.ts";
import { shareHeap } from "./shared_heap.ts";
import type { LaneOptions, LaneReply, LaneRequest, TensorRef } from "./protocol.ts";

/** What a run is to give back: ONNX Runtime writes into memory that is allocated for these. */
export type OutputTypes = Readonly<
  Record<string, { readonly dtype: DType; readonly shape: Shape }>
>;

export interface RunResult {
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** In the lane, without waiting for it. */
  readonly computeMs: number;
  /** Waiting for the lane. */
  readonly queueMs: number;
}

interface Pending {
  /** The memory behind the request's addresses: held here, so it is not collected before the answer. */
  readonly tensors: readonly Tensor[];
  readonly resolve: (elapsedMs: number) => void;
  readonly reject: (error: TuttiError) => void;
}

/**
 * The memory of calls that their lane's end cut short. Ending a lane stops its JavaScript at once, but native code
 * goes on until its run is done and still writes there, so this memory must never be used for anything else.
 */
const abandoned: Tensor[] = [];

/** A request as its caller gives it: the lane numbers it. */
type Unnumbered<R> = R extends LaneRequest ? Omit<R, "id"> : never;

export class Lane implements Disposable {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  /** Why the lane takes no more calls. */
  #end: TuttiError | undefined;

  constructor(options: LaneOptions) {
    shareHeap();
    this.#worker = new Worker(new URL("./lane_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<LaneReply>) => this.#settle(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#stop(new TuttiError("INTERNAL", `A compute lane stopped: ${event.message}`));
    };
    this.#worker.postMessage(options);
  }

  /** Calls that wait or run now. */
  get load(): number {
    return this.#pending.size;
  }

  /** Creates the graph's session. Loading reads the weights, so it takes time; runs wait behind it. */
  async loadGraph(graph: string, { bytes, weightsFolder }: EncodedModel): Promise<void> {
    await this.#request({ kind: "load", graph, model: bytes, weightsFolder });
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
    const outputs = mapValues(outputTypes, ({ dtype, shape }) => alignedTensor(dtype, shape));
    const start = performance.now();
    const computeMs = await this.#request(
      { kind: "run", graph, feeds: mapValues(feeds, refOf), fetches: mapValues(outputs, refOf) },
      [...Object.values(feeds), ...Object.values(outputs)],
    );
    return { outputs, computeMs, queueMs: performance.now() - start - computeMs };
  }

  async releaseGraph(graph: string): Promise<void> {
    await this.#request({ kind: "release", graph });
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
    this.#stop(new TuttiError("UNAVAILABLE", "The compute lane is closed"));
  }

  #request(request: Unnumbered<LaneRequest>, tensors: readonly Tensor[] = []): Promise<number> {
    if (this.#end) return Promise.reject(this.#end);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { tensors, resolve, reject });
      this.#worker.postMessage({ ...request, id });
    });
  }

  #settle(reply: LaneReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.ok) pending?.resolve(reply.elapsedMs);
    else pending?.reject(new TuttiError("INTERNAL", `ONNX Runtime failed: ${reply.message}`));
  }

  /** Rejects what waits and what comes: no answer can follow. */
  #stop(end: TuttiError): void {
    this.#end ??= end;
    for (const { tensors, reject } of this.#pending.values()) {
      abandoned.push(...tensors);
      reject(this.#end);
    }
    this.#pending.clear();
  }
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
