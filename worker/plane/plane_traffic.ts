/**
 * A session's feature maps on the worker's side: into the session's memory before a range runs, out of it afterwards. A
 * plane that fails is given up, and the client is told so; the session goes on with whichever it takes next.
 *
 * @module
 */

import type { ForwardResult, SessionGradients } from "../../shared/engine/expert.ts";
import { ShapeError, TuttiError } from "../../shared/errors.ts";
import { type F32Tensor, formatType } from "../../shared/tensor/tensor.ts";
import type { WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import type { TensorHead } from "../../shared/wire/convert_plane.ts";
import { gradientsToMessage, resultToMessage } from "../../shared/wire/convert_session.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { planeLost, type SessionPlane } from "../../shared/wire/plane/session_plane.ts";
import type { CommandStream } from "../rpc/command_stream.ts";
import { type Passage, passageOf } from "./passage.ts";

export interface PlaneTrafficOptions {
  /** What a block's output is to be on the way. */
  readonly dtypeOf: (block: string) => WireDtype;
  /** What the gradient of a skip is to be. */
  readonly gradientDtype: WireDtype;
  /** What the gradient with respect to the input of a range is to be. */
  readonly inputGradientDtype: (first: string) => WireDtype;
  /** Longest wait for a tensor that was announced, seconds. */
  readonly idleLimitSeconds: number;
  /** Told of a plane that is given up, and why. */
  readonly onLost?: (plane: PlaneKind, error: TuttiError) => void;
}

/** A tensor that has come, and how. */
export interface Received {
  /** In the session's memory. */
  readonly tensor: F32Tensor;
  readonly passage: Passage;
}

export class PlaneTraffic {
  readonly #stream: CommandStream;
  readonly #options: PlaneTrafficOptions;
  #plane: SessionPlane | undefined;
  #received = 0;
  #sent = 0;

  constructor(stream: CommandStream, options: PlaneTrafficOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  /** Undefined while feature maps are part of the messages. */
  get plane(): PlaneKind | undefined {
    return this.#plane?.kind;
  }

  /** Tensors are numbered anew. */
  use(plane: SessionPlane): void {
    this.close();
    this.#plane = plane;
    this.#received = this.#sent = 0;
  }

  /**
   * Takes a tensor that was announced.
   *
   * @param name of the tensor, for errors
   * @param locate where the session wants it
   * @throws {TuttiError} what the session refuses, ShapeError for another tensor than it takes, or a PlaneError
   */
  async receive(
    name: string,
    head: TensorHead,
    locate: () => F32Tensor | undefined,
  ): Promise<Received> {
    const began = performance.now();
    const plane = this.#plane;
    if (!plane) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        "A feature map was announced on a plane, and the session uses none: " +
          `choose one with use_plane${
            name === "hidden_states" ? ", or send it in hidden_states" : ""
          }`,
        { details: { tensor: name } },
      );
    }
    let target: F32Tensor;
    try {
      this.#checkSequence(head);
      target = located(locate());
      checkHead(name, head, target, plane);
    } catch (error) {
      if (plane.refuse()) throw error;
      throw this.#lose(plane, error);
    }
    const codecMs = await this.#whileThere(
      plane,
      (signal) => plane.receive(target, head, signal),
    );
    return {
      tensor: target,
      passage: passageOf(plane.kind, head, performance.now() - began, codecMs),
    };
  }

  /** Tells the client that the range is done, and hands it the result. */
  async answer(
    last: string,
    { hiddenStates, computeMs, queueMs, loadMs }: ForwardResult,
  ): Promise<Passage> {
    const began = performance.now();
    const plane = this.#plane;
    const times = { computeMs, queueMs, loadMs };
    if (!plane) {
      await this.#stream.send(resultToMessage({ output: { hiddenStates }, ...times }));
      const { byteLength: bytes } = hiddenStates.data;
      const wireMs = performance.now() - began;
      return { plane: "message", wireDtype: "f32", bytes, codecMs: 0, wireMs };
    }
    const wireDtype = plane.kind === "shm" ? "f32" : this.#options.dtypeOf(last);
    const head = this.#head(hiddenStates, wireDtype);
    await this.#stream.send(resultToMessage({ output: { head }, ...times }));
    const codecMs = await this.#send(plane, [[hiddenStates, head]]);
    return passageOf(plane.kind, head, performance.now() - began, codecMs);
  }

  /** Tells the client that a range of the way back, which began at `first`, is done, and hands it the gradients. */
  async answerGradients(
    first: string,
    { gradHiddenStates, gradResiduals, computeMs, queueMs }: SessionGradients,
  ): Promise<void> {
    // The gradient that the range took came on it.
    const plane = this.#plane!;
    const { gradientDtype, inputGradientDtype } = this.#options;
    const isShared = plane.kind === "shm";
    const head = this.#head(gradHiddenStates, isShared ? "f32" : inputGradientDtype(first));
    const skips = [...gradResiduals].map(([block, gradient]) =>
      [block, gradient, this.#head(gradient, isShared ? "f32" : gradientDtype)] as const
    );
    const gradSkips = skips.map(([block, , skipHead]) => [block, skipHead] as const);
    await this.#stream.send(
      gradientsToMessage({ gradHiddenStates: head, gradSkips, computeMs, queueMs }),
    );
    await this.#send(plane, [
      [gradHiddenStates, head],
      ...skips.map(([, gradient, skipHead]) => [gradient, skipHead] as const),
    ]);
  }

  close(): void {
    this.#plane?.close();
    this.#plane = undefined;
  }

  #head({ shape }: F32Tensor, wireDtype: WireDtype): TensorHead {
    return { shape, wireDtype, sequence: this.#sent++ };
  }

  /** @returns milliseconds that the codec took */
  async #send(
    plane: SessionPlane,
    tensors: readonly (readonly [F32Tensor, TensorHead])[],
  ): Promise<number> {
    let codecMs = 0;
    try {
      for (const [tensor, head] of tensors) {
        codecMs += await this.#whileThere(plane, (signal) => plane.send(tensor, head, signal));
      }
    } catch (error) {
      // The client has its answer, and notices by itself that the tensor does not come.
      if (plane.kind === "grpc") throw error;
    }
    return codecMs;
  }

  /** A tensor that is refused for another reason has come all the same: the next one has the next number. */
  #checkSequence({ sequence }: TensorHead): void {
    if (sequence !== this.#received) throw wrongField("sequence", this.#received, sequence);
    this.#received++;
  }

  /** Gives the plane up if the work on it fails, the client goes, or nothing moves for too long. */
  async #whileThere(
    plane: SessionPlane,
    work: (signal: AbortSignal) => Promise<number>,
  ): Promise<number> {
    const { gone } = this.#stream;
    const { idleLimitSeconds } = this.#options;
    const stop = new AbortController();
    const abort = () => stop.abort();
    const timer = setTimeout(abort, idleLimitSeconds * 1000);
    gone.addEventListener("abort", abort);
    try {
      return await work(stop.signal);
    } catch (error) {
      const isSilent = stop.signal.aborted && !gone.aborted;
      throw this.#lose(plane, isSilent ? silenceError(idleLimitSeconds) : error);
    } finally {
      clearTimeout(timer);
      gone.removeEventListener("abort", abort);
    }
  }

  #lose(plane: SessionPlane, error: unknown): TuttiError {
    this.close();
    const lost = planeLost(plane.kind, error);
    this.#options.onLost?.(plane.kind, lost);
    return lost;
  }
}

/** @throws {TuttiError} INVALID_ARGUMENT if it is not the tensor that the range takes */
function checkHead(
  name: string,
  head: TensorHead,
  target: F32Tensor,
  plane: SessionPlane,
): void {
  if (head.shape.join() !== target.shape.join()) {
    throw new ShapeError(
      `${name} must be ${formatType("float32", target.shape)}: ` +
        `current value is ${formatType("float32", head.shape)}`,
      { details: { tensor: name } },
    );
  }
  if (plane.kind === "shm" && head.wireDtype !== "f32") {
    throw wrongField("wire_dtype", "f32", head.wireDtype);
  }
}

function silenceError(seconds: number): TuttiError {
  return new TuttiError(
    "DEADLINE_EXCEEDED",
    `a tensor did not travel within ${seconds} s, the worker's limit`,
    { details: { limit: "idle_limit_seconds", seconds: String(seconds) } },
  );
}

function wrongField(field: string, expected: string | number, value: string | number): TuttiError {
  const message = `${field} must be ${expected}: current value is ${value}`;
  return new TuttiError("INVALID_ARGUMENT", message, { details: { field } });
}

function located(target: F32Tensor | undefined): F32Tensor {
  if (target) return target;
  throw new TuttiError("INTERNAL", "A worker's session must have memory for its inputs");
}
