/**
 * A session's plane as its two ends use it. What travels next is told on the control stream, so both know it: one sends
 * the tensor while the other receives the same number, dtype and shape.
 *
 * @module
 */

import type { F32Tensor } from "../../tensor/tensor.ts";
import { decode, encode } from "../codec/codec.ts";
import { encodedBytes, type WireDtype } from "../codec/wire_dtype.ts";
import { closeConn } from "./conn_io.ts";
import { readTensorFrame, writeTensorFrame } from "./frame_stream.ts";
import { mismatch, PlaneError } from "./plane_error.ts";
import type { PlaneKind } from "./plane_kind.ts";
import type { SharedMemory } from "./shared_memory.ts";
import { PIECE_ELEMENTS } from "./pieces.ts";

/** Which tensor of its direction, and what it is on the way. */
export interface Travelling {
  readonly sequence: number;
  readonly wireDtype: WireDtype;
}

export interface SessionPlane {
  readonly kind: PlaneKind;
  /**
   * Settles when the tensor's memory may change again.
   *
   * @returns milliseconds of it that the codec took
   * @throws {TuttiError} and the plane is of no use any more
   */
  send(tensor: F32Tensor, as: Travelling, signal?: AbortSignal): Promise<number>;
  /**
   * Fills `target`.
   *
   * @returns milliseconds of it that the codec took
   * @throws {TuttiError} and the plane is of no use any more
   */
  receive(target: F32Tensor, as: Travelling, signal?: AbortSignal): Promise<number>;
  /**
   * To be called instead of `receive()` for a tensor that is announced and not wanted.
   *
   * @returns whether the plane can be used on
   */
  refuse(): boolean;
  /** May be called again, and while it is in use. */
  close(): void;
}

/** Both ends have the memory in common, and the tensor has been written where it is read: it has arrived. */
export class SharedMemoryPlane implements SessionPlane {
  readonly kind = "shm";
  readonly #region: SharedMemory;

  constructor(region: SharedMemory) {
    this.#region = region;
  }

  send(): Promise<number> {
    return Promise.resolve(0);
  }

  receive(): Promise<number> {
    return Promise.resolve(0);
  }

  refuse(): boolean {
    return true;
  }

  /** The memory goes, too. */
  close(): void {
    this.#region[Symbol.dispose]();
  }
}

/** Frames on a connection. Nothing says how much of an unread tensor is on its way, so whoever refuses one hangs up. */
export class SocketPlane implements SessionPlane {
  readonly kind: "unix" | "tcp";
  readonly #conn: Deno.Conn;

  constructor(kind: "unix" | "tcp", conn: Deno.Conn) {
    this.kind = kind;
    this.#conn = conn;
  }

  send({ data }: F32Tensor, as: Travelling, signal?: AbortSignal): Promise<number> {
    const { sequence, wireDtype: dtype } = as;
    return writeTensorFrame(this.#conn, { sequence, dtype }, data, signal);
  }

  receive({ data }: F32Tensor, as: Travelling, signal?: AbortSignal): Promise<number> {
    const { sequence, wireDtype: dtype } = as;
    const frame = { sequence, dtype, elements: data.length };
    return readTensorFrame(this.#conn, frame, data, signal);
  }

  refuse(): boolean {
    this.close();
    return false;
  }

  close(): void {
    closeConn(this.#conn);
  }
}

/** One end of the control stream, as far as pieces of tensors go. */
export interface PieceStream {
  /** Settles when the bytes have been handed over: their memory may change then. */
  sendPiece(data: Uint8Array): Promise<void>;
  /** @throws {TuttiError} INVALID_ARGUMENT if something else comes */
  receivePiece(): Promise<Uint8Array>;
}

/** Pieces among the messages of the control stream, which carries them in order, each with its checksum. */
export class PiecesPlane implements SessionPlane {
  readonly kind = "grpc";
  readonly #stream: PieceStream;
  #scratch = new Uint8Array();

  constructor(stream: PieceStream) {
    this.#stream = stream;
  }

  async send({ data }: F32Tensor, { wireDtype }: Travelling): Promise<number> {
    let codecMs = 0;
    for (const numbers of piecesOf(data)) {
      const began = performance.now();
      const piece = this.#encode(wireDtype, numbers);
      codecMs += performance.now() - began;
      await this.#stream.sendPiece(piece);
    }
    return codecMs;
  }

  async receive({ data }: F32Tensor, { wireDtype }: Travelling): Promise<number> {
    let codecMs = 0;
    for (const numbers of piecesOf(data)) {
      const piece = await this.#stream.receivePiece();
      const expected = encodedBytes(wireDtype, numbers.length);
      if (piece.length !== expected) {
        throw mismatch("INVALID_ARGUMENT", "Bytes of a tensor's piece", expected, piece.length);
      }
      const began = performance.now();
      decode(wireDtype, piece, numbers);
      codecMs += performance.now() - began;
    }
    return codecMs;
  }

  /** What is sent nevertheless is passed over, piece by piece. */
  refuse(): boolean {
    return true;
  }

  close(): void {}

  #encode(wireDtype: WireDtype, numbers: Float32Array): Uint8Array {
    if (wireDtype === "f32") {
      return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
    }
    const bytes = encodedBytes(wireDtype, numbers.length);
    if (this.#scratch.length < bytes) this.#scratch = new Uint8Array(bytes);
    const piece = this.#scratch.subarray(0, bytes);
    encode(wireDtype, numbers, piece);
    return piece;
  }
}

function* piecesOf(data: Float32Array): Generator<Float32Array> {
  for (let start = 0; start < data.length; start += PIECE_ELEMENTS) {
    yield data.subarray(start, start + PIECE_ELEMENTS);
  }
}

/** What a forward hears whose plane has gone. */
export function planeLost(kind: PlaneKind, cause: unknown): PlaneError {
  const { code, message, details } = PlaneError.from(cause, "UNAVAILABLE");
  return new PlaneError(code, `The ${kind} plane failed: ${message}`, {
    cause,
    details: { ...details, plane: kind, planeState: "lost" },
  });
}
