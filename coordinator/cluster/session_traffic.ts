/**
 * A session's feature maps and gradients on the coordinator's side: what a range takes to the worker and what it gives
 * back, on the plane that both ends agreed on. A plane that fails is given up; the session goes on with gRPC.
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
  SessionArena,
} from "../../shared/engine/session_arena.ts";
import { ShapeError, type TuttiError } from "../../shared/errors.ts";
import { alignedTensor } from "../../shared/lane/aligned_memory.ts";
import { type BlockId, blockIndex } from "../../shared/models/blocks.ts";
import { openTrace } from "../../shared/telemetry/tracing.ts";
import type { Traceparent } from "../../shared/telemetry/traceparent.ts";
import { elementCount, f32, type F32Tensor, type Shape } from "../../shared/tensor/tensor.ts";
import type { WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import { type PlaneOffer, wireDtypeOf } from "../../shared/wire/convert_plane.ts";
import {
  backwardToMessage,
  type Carried,
  forwardToMessage,
  restoreToMessage,
  type SessionEvent,
} from "../../shared/wire/convert_session.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { type CallContext, wrongAnswer } from "./call_errors.ts";
import { expectShape } from "./expect_shape.ts";
import type { SessionExchange } from "./session_exchange.ts";
import { TensorExchange } from "./tensor_exchange.ts";
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
  readonly #tensors: TensorExchange;
  /** Over the memory that both ends had in common last. */
  #arena: SessionArena | undefined;
  /** Where results from elsewhere are received: as long as the widest. */
  #received: F32Tensor | undefined;

  constructor(options: SessionTrafficOptions, size: ArenaSize, exchange: SessionExchange) {
    this.#options = options;
    this.#layout = arenaLayout(options.description.blocks, size);
    this.#exchange = exchange;
    this.#tensors = new TensorExchange({ ...options, exchange });
  }

  /** How feature maps travel; undefined after a failure, until another plane is taken. */
  get plane(): PlaneKind | undefined {
    return this.#tensors.plane;
  }

  /** Where the input of a block is wanted, if the worker reads it there. */
  inputBuffer(block: string): F32Tensor | undefined {
    const index = this.#indexOf(block);
    return index < 0 ? undefined : this.#shared()?.input(index);
  }

  /** Where the gradient of a block's output is wanted, in a session that keeps inputs. */
  gradientBuffer(block: string): F32Tensor | undefined {
    const index = this.#indexOf(block);
    return index < 0 ? undefined : this.#shared()?.gradient(index + 1);
  }

  /** @throws {WorkerError} FAILED_PRECONDITION if none of the wanted planes works */
  async takePlane(
    wanted: readonly PlaneKind[],
    offers: readonly PlaneOffer[],
    signal: AbortSignal,
  ): Promise<void> {
    await this.#tensors.takePlane(wanted, offers, signal);
    const { memory } = this.#tensors;
    this.#arena = memory && new SessionArena(this.#layout, memory);
  }

  /**
   * Sends the command of a range with its input.
   *
   * @param kind whether the worker is to compute it, or only to keep its input
   * @returns bytes on the wire
   * @throws {TuttiError} what became of the plane
   */
  async send(
    kind: "forward" | "restore",
    range: ForwardRange,
    signal: AbortSignal,
  ): Promise<number> {
    const { first, hiddenStates } = range;
    const toMessage = kind === "forward" ? forwardToMessage : restoreToMessage;
    const command = traced(range);
    const index = this.#indexOf(first);
    const slot = this.#layout.inputs[index];
    // What has no place in the session goes as it is: the worker says what is wrong with it.
    if (!slot || slot.shape.join() !== hiddenStates.shape.join()) {
      const bytes = hiddenStates.data.byteLength;
      this.#options.checkSize(`The input of block "${first}"`, bytes);
      await this.#exchange.send(toMessage(command, { hiddenStates }));
      return bytes;
    }
    return await this.#tensors.send({
      tensor: hiddenStates,
      wireDtype: this.#dtypeOf(this.#options.description.blocks[index - 1]?.id),
      place: this.#shared()?.input(index),
      command: (head) => toMessage(command, { head }),
      answer: kind === "forward" ? "result" : "restored",
    }, signal);
  }

  /**
   * Sends the command of a range of the way back with its gradient, which must fit.
   *
   * @returns bytes on the wire
   * @throws {TuttiError} what became of the plane
   */
  async sendGradient(range: SessionBackward, signal: AbortSignal): Promise<number> {
    return await this.#tensors.send({
      tensor: range.gradOutput,
      wireDtype: this.#gradientDtype(range.last === this.#options.description.blocks.at(-1)!.id),
      place: this.gradientBuffer(range.last),
      command: (head) => backwardToMessage(traced(range), head),
      answer: "gradients",
    }, signal);
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
    this.#tensors.checkHead(head, this.#dtypeOf(last), context);
    const target = this.#shared()?.result(index) ?? this.#receiveBuffer(shape);
    return { hiddenStates: target, wireBytes: await this.#tensors.receive(head, target, signal) };
  }

  /**
   * The gradients that an event announced.
   *
   * @param first where their range began
   * @param leaving the blocks of whose skips the worker must send one
   * @throws {TuttiError} as `receive()`
   */
  async receiveGradients(
    { gradHiddenStates, gradSkips }: GradientsEvent,
    first: BlockId,
    leaving: readonly BlockId[],
    context: CallContext,
    signal: AbortSignal,
  ): Promise<ArrivedGradients> {
    const index = this.#indexOf(first);
    const { gradients, skipGradients } = this.#layout;
    const arena = this.#shared();
    const expected = [
      {
        name: "grad_hidden_states",
        slot: gradients[index]!,
        place: arena?.gradient(index),
        wireDtype: this.#gradientDtype(index === 0),
      },
      ...leaving.map((id) => ({
        name: `The gradient of the skip of ${id}`,
        slot: skipGradients.get(id)!,
        place: arena?.skipGradient(id),
        wireDtype: this.#gradientDtype(false),
      })),
    ];
    const heads = [gradHiddenStates, ...gradSkips.map(([, head]) => head)];
    try {
      const sent = gradSkips.map(([id]) => id);
      if (sent.join() !== leaving.join()) {
        throw new ShapeError(`grad_skips must be of [${leaving}]: current value is [${sent}]`);
      }
      expected.forEach(({ name, slot }, i) => expectShape(name, heads[i]!, slot.shape));
    } catch (error) {
      throw wrongAnswer(error, this.#options.address, context);
    }
    expected.forEach(({ wireDtype }, i) => this.#tensors.checkHead(heads[i]!, wireDtype, context));
    const arrived: F32Tensor[] = [];
    let wireBytes = 0;
    for (const [i, { slot, place }] of expected.entries()) {
      const target = place ?? alignedTensor("float32", slot.shape);
      wireBytes += await this.#tensors.receive(heads[i]!, target, signal);
      arrived.push(target);
    }
    return {
      gradHiddenStates: arrived[0]!,
      gradResiduals: new Map(leaving.map((id, i) => [id, arrived[i + 1]!])),
      wireBytes,
    };
  }

  /** To be called when the worker says that the plane failed on its side. */
  workerLost(error: TuttiError): void {
    this.#tensors.workerLost(error);
  }

  close(): void {
    this.#tensors.close();
  }

  /** Where both ends have the session's memory in common. */
  #shared(): SessionArena | undefined {
    return this.#tensors.memory && this.#arena;
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
    if (block === undefined || this.plane === "shm") return "f32";
    const { description, transport } = this.#options;
    return wireDtypeOf(transport.wireDtypes, block, description.blocks.at(-1)!.id);
  }

  /** @param isExact of noise or latents, which stay exact on their way forward, too */
  #gradientDtype(isExact: boolean): WireDtype {
    return isExact || this.plane === "shm" ? "f32" : this.#options.transport.gradientDtype;
  }

  #indexOf(block: string): number {
    return blockIndex(this.#options.description.blocks, block);
  }
}

/** What a worker does about a command is part of the span in which it is sent. */
function traced<Range extends Omit<ForwardRange, "hiddenStates">>(
  range: Range,
): Range & { readonly trace?: Traceparent } {
  const trace = openTrace();
  return trace ? { ...range, trace } : range;
}
