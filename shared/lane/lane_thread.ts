/**
 * The thread behind lanes, as the isolate that started it sees it: numbers the requests, hands out the answers, and
 * knows what to do with those that no answer will come for.
 *
 * @module
 */

import { TuttiError } from "../errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { LaneReply, LaneRequest } from "./protocol.ts";
import { shareHeap } from "./shared_heap.ts";
import { turnOffTelemetry } from "./telemetry.ts";

interface Pending {
  /** The memory behind the request's addresses: held here, so it is not collected before the answer. */
  readonly tensors: readonly Tensor[];
  readonly resolve: (elapsedMs: number) => void;
  readonly reject: (error: TuttiError) => void;
}

/** A request as its caller gives it: the thread numbers it. */
export type Unnumbered<R> = R extends LaneRequest ? Omit<R, "id"> : never;

/**
 * The memory of calls that their thread's end cut short. Ending a thread stops its JavaScript at once, but native code
 * goes on until its run is done and still writes there, so this memory must never be used for anything else.
 */
const abandoned: Tensor[] = [];

export class LaneThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  /** Why the thread takes no more requests. */
  #end: TuttiError | undefined;
  #onIdle: (() => void) | undefined;

  constructor() {
    shareHeap();
    turnOffTelemetry();
    this.#worker = new Worker(new URL("./lane_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = (event: MessageEvent<LaneReply>) => this.#settle(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#stop(new TuttiError("INTERNAL", `A compute lane stopped: ${event.message}`));
    };
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Requests that wait or are worked on. */
  get load(): number {
    return this.#pending.size;
  }

  /** @returns the milliseconds that the thread worked on it, without waiting */
  request(request: Unnumbered<LaneRequest>, tensors: readonly Tensor[] = []): Promise<number> {
    if (this.#end) return Promise.reject(this.#end);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { tensors, resolve, reject });
      this.#worker.postMessage({ ...request, id });
    });
  }

  /** Ends the thread now. What waits is rejected with `reason`. */
  terminate(reason: TuttiError): void {
    this.#worker.terminate();
    this.#stop(reason);
  }

  /** Calls back once, when no request is open: at once if none is. A later callback replaces it. */
  whenIdle(callback: () => void): void {
    this.#onIdle = callback;
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#pending.size > 0) return;
    const callback = this.#onIdle;
    this.#onIdle = undefined;
    callback?.();
  }

  #settle(reply: LaneReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.ok) pending?.resolve(reply.elapsedMs);
    else pending?.reject(new TuttiError("INTERNAL", `ONNX Runtime failed: ${reply.message}`));
    this.#checkIdle();
  }

  /** Rejects what waits and what comes: no answer can follow. */
  #stop(end: TuttiError): void {
    this.#end ??= end;
    for (const { tensors, reject } of this.#pending.values()) {
      abandoned.push(...tensors);
      reject(this.#end);
    }
    this.#pending.clear();
    this.#checkIdle();
  }
}
