/**
 * Commands and answers on a session's stream, one at a time, each with a deadline and a signal. Running out of either
 * gives the whole session up, for nobody knows what the worker still does about the command.
 *
 * @module
 */

import { TuttiError, WorkerError } from "../../shared/errors.ts";
import {
  eventFromMessage,
  pieceToMessage,
  type SessionEvent,
} from "../../shared/wire/convert_session.ts";
import type { Message } from "../../shared/wire/fields.ts";
import type { PieceStream } from "../../shared/wire/plane/session_plane.ts";
import {
  answerFailed,
  type CallContext,
  callFailed,
  cancelled,
  deadlinePassed,
  wrongAnswer,
} from "./call_errors.ts";
import { type EventStream, StreamEnded } from "./event_stream.ts";

export interface ExchangeOptions {
  readonly context: CallContext & { readonly deadlineMs: number };
  readonly signal?: AbortSignal | undefined;
}

export class SessionExchange implements PieceStream {
  readonly #stream: EventStream;
  readonly #address: string;
  /** What is being done now. */
  #context: CallContext | undefined;
  /** Why no exchange may follow, once we ended the session ourselves. */
  #over: WorkerError | undefined;

  constructor(stream: EventStream, address: string) {
    this.#stream = stream;
    this.#address = address;
  }

  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /** The error of whatever is asked of the session from now on. */
  end(why: string): void {
    this.#over ??= this.#closedError(why);
  }

  /**
   * Runs an exchange: `work` sends and receives. Its signal fires when it is given up.
   *
   * @throws {TuttiError} what `work` throws; CANCELLED or DEADLINE_EXCEEDED, and the session is over; or what became of
   * the stream
   */
  async run<T>(
    { context, signal }: ExchangeOptions,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#over) throw this.#over;
    if (this.#context) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `A session takes one command at a time: one is still ${this.#context.doing}`,
      );
    }
    this.#context = context;
    const stop = new AbortController();
    const { promise: givenUp, reject } = Promise.withResolvers<never>();
    const giveUp = (error: TuttiError) => {
      this.end(`it was given up while ${context.doing}`);
      reject(error);
      stop.abort();
      this.#stream.cancel();
    };
    const onAbort = () => giveUp(cancelled());
    const timer = setTimeout(
      () => giveUp(deadlinePassed(this.#address, context)),
      context.deadlineMs,
    );
    signal?.addEventListener("abort", onAbort);
    const working = work(stop.signal);
    // Once it is given up, nobody hears how it ends.
    working.catch(() => {});
    try {
      return await Promise.race([working, givenUp]);
    } catch (error) {
      throw error instanceof StreamEnded ? this.#endError(error, context, signal) : error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#context = undefined;
    }
  }

  async send(message: Message): Promise<void> {
    await this.#stream.send(message);
  }

  /** @throws {TuttiError} what the worker answers instead, or WorkerError if that cannot be read */
  async receive<K extends SessionEvent["kind"]>(
    expected: K,
  ): Promise<Extract<SessionEvent, { kind: K }>> {
    const message = await this.#stream.receive();
    const context = this.#context ?? { doing: "waiting" };
    let event: SessionEvent;
    try {
      event = eventFromMessage(message);
    } catch (error) {
      throw wrongAnswer(error, this.#address, context);
    }
    if (event.kind === "error") throw answerFailed(event.error, this.#address, context);
    if (event.kind !== expected) {
      const what = `"${event.kind}" instead of "${expected}"`;
      throw wrongAnswer(what, this.#address, context);
    }
    return event as Extract<SessionEvent, { kind: K }>;
  }

  async sendPiece(data: Uint8Array): Promise<void> {
    await this.send(pieceToMessage(data));
  }

  async receivePiece(): Promise<Uint8Array> {
    return (await this.receive("piece")).data;
  }

  #endError(
    { end }: StreamEnded,
    context: CallContext,
    signal: AbortSignal | undefined,
  ): TuttiError {
    if (this.#over) return cancelled(end);
    if (end === "ok") return this.#closedError("the worker ended it");
    return callFailed(end, this.#address, context, signal);
  }

  #closedError(why: string): WorkerError {
    const worker = this.#address;
    const text = `The session on worker ${worker} is closed: ${why}`;
    return new WorkerError("FAILED_PRECONDITION", text, { details: { worker } });
  }
}
