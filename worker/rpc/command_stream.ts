/**
 * One end of a bidirectional stream as two awaitable steps: take the next message, send one. Reading
 * pauses while messages wait and writing waits until the bytes are handed over, so a fast or a stuck peer never makes
 * this process queue; both give up when the peer is gone, the worker stops, or nothing happens for too long.
 *
 * @module
 */

import type { ServerDuplexStream } from "@grpc/grpc-js";
import { TuttiError, WorkerError } from "../../shared/errors.ts";
import { commandFromMessage, pieceToMessage } from "../../shared/wire/convert_session.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { Inbox } from "../../shared/wire/inbox.ts";
import type { PieceStream } from "../../shared/wire/plane/session_plane.ts";
import { stoppingError } from "../worker_host.ts";
import { forgetReceived } from "./call_internals.ts";

export type Call = ServerDuplexStream<Message, Message>;

export interface CommandStreamOptions {
  /** Longest wait for the peer, seconds. */
  readonly idleLimitSeconds: number;
  /** Fires when the worker begins to stop: waiting for a command ends, answering one does not. */
  readonly stopping: AbortSignal;
}

export class CommandStream implements PieceStream {
  readonly #call: Call;
  readonly #options: CommandStreamOptions;
  readonly #gone = new AbortController();
  readonly #inbox: Inbox;
  readonly #expiry = new AbortController();
  #moved: () => void = () => {};
  #ended = false;

  constructor(call: Call, options: CommandStreamOptions) {
    this.#call = call;
    this.#options = options;
    this.#inbox = new Inbox(call);
    call.on("end", () => {
      this.#ended = true;
      this.#inbox.wake();
    });
    call.on("cancelled", () => this.#gone.abort());
    // Without a listener, a connection that breaks would end the process.
    call.on("error", () => this.#gone.abort());
  }

  /** Fires when the peer cancelled or is lost. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** @param listener called whenever a message has come or gone */
  onMove(listener: () => void): void {
    this.#moved = listener;
  }

  /** From now on no command is taken, whoever waits for one included; what is being answered still is. */
  expire(error: TuttiError): void {
    this.#expiry.abort(error);
  }

  /**
   * The next message, or `undefined` after the last one.
   *
   * @throws {TuttiError} what it expired with, CANCELLED when the peer is gone, UNAVAILABLE when the worker stops, DEADLINE_EXCEEDED
   * after the idle limit
   */
  async receive(): Promise<Message | undefined> {
    const expiry = this.#expiry.signal;
    if (expiry.aborted) throw expiry.reason;
    if (this.#inbox.isEmpty && !this.#ended) {
      const { stopping } = this.#options;
      await this.#wait((done) => this.#inbox.onArrival(done), { stopping, expiry });
    }
    this.#moved();
    forgetReceived(this.#call);
    return this.#inbox.take();
  }

  /** The next message, which must be part of a tensor. */
  async receivePiece(): Promise<Uint8Array> {
    const message = await this.receive();
    const command = commandFromMessage(message ?? {});
    if (command.kind === "piece") return command.data;
    throw new TuttiError(
      "INVALID_ARGUMENT",
      `A piece of the announced tensor must come: current command is "${command.kind}"`,
    );
  }

  async sendPiece(data: Uint8Array): Promise<void> {
    await this.send(pieceToMessage(data));
  }

  /** @throws {TuttiError} as `receive` does */
  async send(message: Message): Promise<void> {
    await this.#wait((done) => void this.#call.write(message, done));
    this.#moved();
  }

  #wait(
    start: (done: () => void) => void,
    { stopping, expiry }: { stopping?: AbortSignal; expiry?: AbortSignal } = {},
  ): Promise<void> {
    const { idleLimitSeconds } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onGone = () => reject(new TuttiError("CANCELLED", "The client ended the session"));
    const onStop = () => reject(stoppingError());
    const onExpiry = () => reject(expiry!.reason);
    const timer = setTimeout(() => {
      reject(
        new WorkerError(
          "DEADLINE_EXCEEDED",
          `The session was closed: nothing was heard for ${idleLimitSeconds} s, the worker's limit`,
          { details: { limit: "idle_limit_seconds", seconds: String(idleLimitSeconds) } },
        ),
      );
    }, idleLimitSeconds * 1000);
    if (this.gone.aborted) onGone();
    else if (stopping?.aborted) onStop();
    else {
      this.gone.addEventListener("abort", onGone);
      stopping?.addEventListener("abort", onStop);
      expiry?.addEventListener("abort", onExpiry);
      start(resolve);
    }
    return promise.finally(() => {
      clearTimeout(timer);
      this.gone.removeEventListener("abort", onGone);
      stopping?.removeEventListener("abort", onStop);
      expiry?.removeEventListener("abort", onExpiry);
    });
  }
}
