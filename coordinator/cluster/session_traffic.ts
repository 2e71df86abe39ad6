/**
 * A session's feature maps on the coordinator's side: the input of a range to the worker, its output back, on the plane
 * that both ends agreed on. A plane that fails is given up; the session goes on with gRPC.
 *
 * @module
 */

import type {
  ExpertDescription,
  ForwardRange,
  SessionBackward,
} from "../../shared/engine/expert.ts";
import {
  type ArenaLayout,
  arenaLayout,
  type ArenaSize,
  sameMemory,
  SessionArena,
} from "../../shared/engine/session_arena.ts";
import { ShapeError, TuttiError, WorkerError } from "../../shared/errors.ts";
import { alignedTensor } from "../../shared/lane/aligned_memory.ts";
import type { BlockId } from "../../shared/models/blocks.ts";
import { elementCount, f32, type F32Tensor, type Shape } from "../../shared/tensor/tensor.ts";
import { parseAddress } from "../../shared/wire/address.ts";
import { encodedBytes, type WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import { type PlaneOffer, type TensorHead, wireDtypeOf } from "../../shared/wire/convert_plane.ts";
import {
  backwardToMessage,
  type Carried,
  forwardToMessage,
  type SessionEvent,
  usePlaneToMessage,
} from "../../shared/wire/convert_session.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { PlaneError } from "../../shared/wire/plane/plane_error.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { planeLost, type SessionPlane } from "../../shared/wire/plane/session_plane.ts";
import { type CallContext, wrongAnswer } from "./call_errors.ts";
import { choosePlane } from "./choose_plane.ts";
import { expectShape } from "./expect_shape.ts";
import type { SessionExchange } from "./session_exchange.ts";
import type { TensorTransport } from "./tensor_transport.ts";

export interface SessionTrafficOptions {
  /** HOST:PORT of the worker. */
  readonly address: string;
  readonly description: ExpertDescription;
  readonly transport: TensorTransport;
  /** @throws {TuttiError} RESOURCE_EXHAUSTED for a command that the worker would not take */
  checkSize(what: string, bytes: number): void;
}

type GradientsEvent = Extract<SessionEvent, { kind: "gradients" }>;

/** A tensor and what it was on the way. */
export interface Arrived {
  /** f32 `[B, C, h, w]`, valid until the next one arrives. */
  readonly hiddenStates: F32Tensor;
  readonly wireBytes: number;
}

export interface ArrivedGradients {
  /** f32 `[B, C, h, w]`, as all of these valid until the next command. */
  readonly gradHiddenStates: F32Tensor;
  readonly gradResiduals: ReadonlyMap<BlockId, F32Tensor>;
  readonly wireBytes: number;
}

export class SessionTraffic {
  readonly #options: SessionTrafficOptions;
  readonly #layout: ArenaLayout;
  readonly #exchange: SessionExchange;
  #plane: SessionPlane | undefined;
  /** Where both ends have the session's memory in common. */
  #arena: SessionArena | undefined;
  /** Where results from elsewhere are received: as long as the widest. */
  #received: F32Tensor | undefined;
  /** Tensors on the plane so far, in each direction. */
  #sequences = { sent: 0, received: 0 };

  constructor(options: SessionTrafficOptions, size: ArenaSize, exchange: SessionExchange) {
    this.#options = options;
    this.#layout = arenaLayout(options.description.blocks, size);
    this.#exchange = exchange;
  }

  /** How feature maps travel; undefined after a failure, until another plane is taken. */
  get plane(): PlaneKind | undefined {
    return this.#plane?.kind;
  }

  /** Where the input of a block is wanted, if the worker reads it there. */
  inputBuffer(block: string): F32Tensor | undefined {
    const index = this.#indexOf(block);
    return index < 0 ? undefined : this.#arena?.input(index);
  }

  /** Where the gradient of the output of a block is wanted, in a session that keeps inputs. */
  gradientBuffer(block: string): F32Tensor | undefined {
    const index = this.#indexOf(block);
    return index < 0 ? undefined : this.#arena?.gradient(index + 1);
  }

  /**
   * Takes the first of the wanted planes that works.
   *
   * @throws {WorkerError} FAILED_PRECONDITION if none does
   */
  async takePlane(
    wanted: readonly PlaneKind[],
    offers: readonly PlaneOffer[],
    signal: AbortSignal,
  ): Promise<void> {
    const { address, transport } = this.#options;
    const reasons: string[] = [];
    const chosen = await choosePlane(wanted, {
      host: parseAddress(address).host,
      offers,
      stream: this.#exchange,
      signal,
      use: async (use) => {
        await this.#exchange.send(usePlaneToMessage(use));
        await this.#exchange.receive("planeInUse");
      },
    }, (fallback) => {
      reasons.push(fallback.reason);
      transport.onFallback?.({ ...fallback, worker: address });
    });
    if (!chosen) {
      throw new WorkerError(
        "FAILED_PRECONDITION",
        `Worker ${address} cannot be reached over plane ${wanted.join(", ")}: ` +
          (reasons.join("; ") || "the worker does not offer it"),
        { details: { worker: address, plane: wanted.join() } },
      );
    }
    this.#plane = chosen.plane;
    this.#arena = chosen.memory && new SessionArena(this.#layout, chosen.memory);
    this.#sequences = { sent: 0, received: 0 };
  }

  /**
   * Sends the command of a range with its input.
   *
   * @returns bytes on the wire
   * @throws {TuttiError} what became of the plane
   */
  async send(range: ForwardRange, signal: AbortSignal): Promise<number> {
    const { first, hiddenStates } = range;
    const index = this.#indexOf(first);
    const slot = this.#layout.inputs[index];
    // What has no place in the session goes as it is: the worker says what is wrong with it.
    if (!slot || slot.shape.join() !== hiddenStates.shape.join()) {
      const bytes = hiddenStates.data.byteLength;
      this.#options.checkSize(`The input of block "${first}"`, bytes);
      await this.#exchange.send(forwardToMessage(range, { hiddenStates }));
      return bytes;
    }
    const head = {
      shape: slot.shape,
      wireDtype: this.#dtypeOf(this.#options.description.blocks[index - 1]?.id),
      sequence: this.#sequences.sent,
    };
    const command = forwardToMessage(range, { head });
    return await this.#send(
      command,
      hiddenStates,
      head,
      this.#arena?.input(index),
      "result",
      signal,
    );
  }

  /**
   * Sends the command of a range of the way back with its gradient, which must fit.
   *
   * @returns bytes on the wire
   * @throws {TuttiError} what became of the plane
   */
  async sendGradient(range: SessionBackward, signal: AbortSignal): Promise<number> {
    const { last, gradOutput } = range;
    const head = {
      shape: gradOutput.shape,
      wireDtype: "f32",
      sequence: this.#sequences.sent,
    } as const;
    const command = backwardToMessage(range, head);
    return await this.#send(
      command,
      gradOutput,
      head,
      this.gradientBuffer(last),
      "gradients",
      signal,
    );
  }

  /** @param target where both ends have memory in common, the tensor's place in it */
  async #send(
    command: Message,
    tensor: F32Tensor,
    head: TensorHead,
    target: F32Tensor | undefined,
    answer: "result" | "gradients",
    signal: AbortSignal,
  ): Promise<number> {
    const plane = this.#plane!;
    if (target && !sameMemory(target, tensor)) target.data.set(tensor.data);
    this.#sequences.sent++;
    await this.#exchange.send(command);
    try {
      await plane.send(tensor, head, signal);
    } catch (error) {
      this.#lose(plane, error);
      // The worker misses the tensor and says so; unless it says more, our own error is the one to tell.
      await this.#exchange.receive(answer).catch(() => {});
      throw this.#planeError(plane, error);
    }
    return encodedBytes(head.wireDtype, tensor.data.length);
  }

  /**
   * The output of block `last`, which an event brought or announced.
   *
   * @throws {TuttiError} what became of the plane, or WorkerError if it is another tensor
   */
  async receive(
    { hiddenStates, head }: Carried,
    last: string,
    context: CallContext,
    signal: AbortSignal,
  ): Promise<Arrived> {
    const index = this.#indexOf(last);
    const { shape } = this.#layout.results[index]!;
    try {
      expectShape("hidden_states", hiddenStates ?? head!, shape);
    } catch (error) {
      throw wrongAnswer(error, this.#options.address, context);
    }
    if (hiddenStates) return { hiddenStates, wireBytes: hiddenStates.data.byteLength };
    this.#checkHead(head, this.#dtypeOf(last), context);
    const target = this.#arena?.result(index) ?? this.#receiveBuffer(shape);
    return { hiddenStates: target, wireBytes: await this.#receive(head, target, signal) };
  }

  /**
   * The gradients that an event announced.
   *
   * @param leaving the skips of which the worker must send one
   * @throws {TuttiError} as `receive()`
   */
  async receiveGradients(
    { gradHiddenStates: head, gradSkips }: GradientsEvent,
    { first }: SessionBackward,
    leaving: readonly BlockId[],
    context: CallContext,
    signal: AbortSignal,
  ): Promise<ArrivedGradients> {
    const index = this.#indexOf(first);
    const slots = [
      this.#layout.gradients[index]!,
      ...leaving.map((block) => this.#layout.skipGradients.get(block)!),
    ];
    const heads = [head, ...gradSkips.map(([, skipHead]) => skipHead)];
    try {
      const sent = gradSkips.map(([block]) => block);
      if (sent.join() !== leaving.join()) {
        throw new ShapeError(`grad_skips must be of [${leaving}]: current value is [${sent}]`);
      }
      heads.forEach((each, i) =>
        expectShape(i === 0 ? "grad_hidden_states" : "gradient", each, slots[i]!.shape)
      );
    } catch (error) {
      throw wrongAnswer(error, this.#options.address, context);
    }
    for (const each of heads) this.#checkHead(each, "f32", context);
    const targets = this.#arena
      ? [this.#arena.gradient(index), ...leaving.map((id) => this.#arena!.skipGradient(id))]
      : slots.map(({ shape }) => alignedTensor("float32", shape));
    let wireBytes = 0;
    for (const [i, each] of heads.entries()) {
      wireBytes += await this.#receive(each, targets[i]!, signal);
    }
    const [gradHiddenStates, ...skips] = targets as [F32Tensor, ...F32Tensor[]];
    const gradResiduals = new Map(leaving.map((block, i) => [block, skips[i]!]));
    return { gradHiddenStates, gradResiduals, wireBytes };
  }

  /** The next tensor on the plane must be announced as what is expected. */
  #checkHead(head: TensorHead, wireDtype: WireDtype, context: CallContext): void {
    const expected = { sequence: this.#sequences.received++, wireDtype };
    for (const field of ["sequence", "wireDtype"] as const) {
      if (head[field] === expected[field]) continue;
      const what = `${field} must be ${expected[field]}: current value is ${head[field]}`;
      throw wrongAnswer(what, this.#options.address, context);
    }
  }

  /** @returns bytes on the wire */
  async #receive(head: TensorHead, target: F32Tensor, signal: AbortSignal): Promise<number> {
    const plane = this.#plane!;
    try {
      await plane.receive(target, head, signal);
    } catch (error) {
      this.#lose(plane, error);
      throw this.#planeError(plane, error);
    }
    return encodedBytes(head.wireDtype, target.data.length);
  }

  /** To be called when the worker says that the plane failed on its side. */
  workerLost(error: TuttiError): void {
    if (this.#plane) this.#lose(this.#plane, error);
  }

  close(): void {
    this.#plane?.close();
  }

  /** One place for all results of the session: each is valid until the next. */
  #receiveBuffer(shape: Shape): F32Tensor {
    this.#received ??= alignedTensor("float32", [
      Math.max(...this.#layout.results.map((result) => elementCount(result.shape))),
    ]);
    return f32(shape, this.#received.data.subarray(0, elementCount(shape)));
  }

  /** What a block's output is on the way; the latents, output of no block, are exact. */
  #dtypeOf(block: string | undefined): WireDtype {
    if (block === undefined || this.#plane?.kind === "shm") return "f32";
    const { description, transport } = this.#options;
    return wireDtypeOf(transport.wireDtypes, block, description.blocks.at(-1)!.id);
  }

  #lose(plane: SessionPlane, error: unknown): void {
    plane.close();
    this.#plane = undefined;
    this.#arena = undefined;
    const reason = TuttiError.from(error).message;
    const { address: worker, transport } = this.#options;
    transport.onFallback?.({ plane: plane.kind, reason, worker });
  }

  #planeError({ kind }: SessionPlane, error: unknown): TuttiError {
    const { code, message, details } = planeLost(kind, error);
    const { address: worker } = this.#options;
    const text = `Worker ${worker}: ${message}`;
    return error instanceof PlaneError
      ? new WorkerError(code, text, { cause: error, details: { ...details, worker } })
      : new TuttiError(code, text, { cause: error, details: { ...details, worker } });
  }

  #indexOf(block: string): number {
    return this.#options.description.blocks.findIndex(({ id }) => id === block);
  }
}
