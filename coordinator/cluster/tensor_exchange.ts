/**
 * A session's plane on the coordinator's side, one tensor at a time: chosen among what the worker offers, numbered in each
 * direction, and given up when it fails. Which tensors those are is the business of `session_traffic.ts`.
 *
 * @module
 */

import { type ArenaMemory, sameMemory } from "../../shared/engine/session_arena.ts";
import { TuttiError, WorkerError } from "../../shared/errors.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { parseAddress } from "../../shared/wire/address.ts";
import { encodedBytes, type WireDtype } from "../../shared/wire/codec/wire_dtype.ts";
import type { PlaneOffer, TensorHead } from "../../shared/wire/convert_plane.ts";
import { type SessionEvent, usePlaneToMessage } from "../../shared/wire/convert_session.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { PlaneError } from "../../shared/wire/plane/plane_error.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { planeLost, type SessionPlane } from "../../shared/wire/plane/session_plane.ts";
import { type CallContext, wrongAnswer } from "./call_errors.ts";
import { choosePlane } from "./choose_plane.ts";
import type { SessionExchange } from "./session_exchange.ts";
import type { TensorTransport } from "./tensor_transport.ts";

export interface TensorExchangeOptions {
  /** HOST:PORT of the worker. */
  readonly address: string;
  readonly transport: TensorTransport;
  readonly exchange: SessionExchange;
}

/** A tensor that is to travel behind a command. */
export interface Outgoing {
  readonly tensor: F32Tensor;
  readonly wireDtype: WireDtype;
  /** Where both ends have memory in common: the tensor's place in it. */
  readonly place: F32Tensor | undefined;
  readonly command: (head: TensorHead) => Message;
  /** What the worker answers to the command. */
  readonly answer: SessionEvent["kind"];
}

export class TensorExchange {
  readonly #options: TensorExchangeOptions;
  #plane: SessionPlane | undefined;
  #memory: ArenaMemory | undefined;
  /** Tensors on the plane so far, in each direction. */
  #sequences = { sent: 0, received: 0 };

  constructor(options: TensorExchangeOptions) {
    this.#options = options;
  }

  /** Undefined after a failure, until another plane is taken. */
  get plane(): PlaneKind | undefined {
    return this.#plane?.kind;
  }

  /** What both ends have in common, while the plane is such. */
  get memory(): ArenaMemory | undefined {
    return this.#memory;
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
    const { address, transport, exchange } = this.#options;
    const reasons: string[] = [];
    const chosen = await choosePlane(wanted, {
      host: parseAddress(address).host,
      ...(transport.tls && { tls: transport.tls }),
      offers,
      stream: exchange,
      signal,
      use: async (use) => {
        await exchange.send(usePlaneToMessage(use));
        await exchange.receive("planeInUse");
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
    this.#memory = chosen.memory;
    this.#sequences = { sent: 0, received: 0 };
  }

  /**
   * Sends a command with its tensor.
   *
   * @returns bytes on the wire
   * @throws {TuttiError} what became of the plane
   */
  async send(
    { tensor, wireDtype, place, command, answer }: Outgoing,
    signal: AbortSignal,
  ): Promise<number> {
    const { exchange } = this.#options;
    const plane = this.#plane!;
    if (place && !sameMemory(place, tensor)) place.data.set(tensor.data);
    const head = { shape: tensor.shape, wireDtype, sequence: this.#sequences.sent };
    const message = command(head);
    this.#sequences.sent++;
    await exchange.send(message);
    try {
      await plane.send(tensor, head, signal);
    } catch (error) {
      this.#lose(plane, error);
      // The worker misses the tensor and says so; unless it says more, our own error is the one to tell.
      await exchange.receive(answer).catch(() => {});
      throw this.#planeError(plane, error);
    }
    return encodedBytes(wireDtype, tensor.data.length);
  }

  /**
   * The next tensor must be announced as what is expected.
   *
   * @throws {WorkerError} naming the field that is not so
   */
  checkHead(head: TensorHead, wireDtype: WireDtype, context: CallContext): void {
    const expected = { sequence: this.#sequences.received++, wireDtype };
    for (const field of ["sequence", "wireDtype"] as const) {
      if (head[field] === expected[field]) continue;
      const what = `${field} must be ${expected[field]}: current value is ${head[field]}`;
      throw wrongAnswer(what, this.#options.address, context);
    }
  }

  /**
   * Receives the tensor of a head that was checked.
   *
   * @returns bytes on the wire
   * @throws {TuttiError} what became of the plane
   */
  async receive(head: TensorHead, target: F32Tensor, signal: AbortSignal): Promise<number> {
    const plane = this.#plane;
    if (!plane) throw new TuttiError("INTERNAL", "A tensor was announced and no plane is in use");
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

  #lose(plane: SessionPlane, error: unknown): void {
    plane.close();
    this.#plane = undefined;
    this.#memory = undefined;
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
}
