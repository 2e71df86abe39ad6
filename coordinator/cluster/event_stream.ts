/**
 * The client's end of a session's stream as two awaitable steps: take the next event, send a command. Reading pauses
 * while events wait and sending waits until the bytes are handed over, so a fast or a stuck worker never makes this
 * process queue.
 *
 * @module
 */

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type { Message } from "../../shared/wire/fields.ts";
import { Inbox } from "../../shared/wire/inbox.ts";

/** How the stream ended: in order, or with a status. */
export type StreamEnd = "ok" | ServiceError;

/** What waits when the stream ends. Whoever waits knows what was being done, and makes the error of it. */
export class StreamEnded extends Error {
  readonly end: StreamEnd;

  constructor(end: StreamEnd) {
    super("The session's stream has ended");
    this.end = end;
  }
}

export class EventStream {
  readonly #stream: ClientDuplexStream<Message, Message>;
  readonly #ended = Promise.withResolvers<StreamEnd>();
  readonly #events: Inbox;
  /** What messages that are being handed over wait for. */
  readonly #sending = new Set<() => void>();
  #end: StreamEnd | undefined;

  constructor(stream: ClientDuplexStream<Message, Message>) {
    this.#stream = stream;
    this.#events = new Inbox(stream);
    // An error without a listener would end the process; grpc-js may raise one long after the last command.
    stream.on("error", (error: ServiceError) => this.#finish(error));
    stream.on("end", () => this.#finish("ok"));
  }

  /** Settles when the stream has ended, for whatever reason. */
  get ended(): Promise<StreamEnd> {
    return this.#ended.promise;
  }

  get hasEnded(): boolean {
    return this.#end !== undefined;
  }

  /** @throws {StreamEnded} if no event follows */
  async receive(): Promise<Message> {
    while (this.#events.isEmpty) {
      if (this.#end !== undefined) throw new StreamEnded(this.#end);
      await new Promise<void>((resolve) => this.#events.onArrival(resolve));
    }
    return this.#events.take()!;
  }

  /** @throws {StreamEnded} if the stream ends first */
  async send(message: Message): Promise<void> {
    if (this.#end !== undefined) throw new StreamEnded(this.#end);
    const { promise, resolve } = Promise.withResolvers<void>();
    // No race with what lives as long as the session: it would remember every message.
    this.#sending.add(resolve);
    this.#stream.write(message, () => resolve());
    await promise;
    this.#sending.delete(resolve);
  }

  /** Says that no command follows; the worker then ends the stream. */
  close(): void {
    this.#stream.end();
    this.#stream.resume();
  }

  cancel(): void {
    this.#stream.cancel();
    this.#stream.resume();
  }

  #finish(end: StreamEnd): void {
    this.#end ??= end;
    this.#ended.resolve(this.#end);
    this.#events.wake();
    for (const resolve of this.#sending) resolve();
  }
}
