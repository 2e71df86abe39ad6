/**
 * A session on a worker: one bidirectional stream, one command at a time.
 *
 * @module
 */

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import type {
  ExpertDescription,
  ExpertSession,
  ForwardRange,
  ForwardResult,
  SessionConfig,
} from "../../shared/engine/expert.ts";
import { throwIfAborted, TuttiError, WorkerError } from "../../shared/errors.ts";
import {
  closeToMessage,
  eventFromMessage,
  forwardToMessage,
  openToMessage,
  type SessionEvent,
} from "../../shared/wire/convert.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { blockOutputShape } from "../../shared/models/blocks.ts";
import { expectShape } from "./expect_shape.ts";
import {
  answerFailed,
  type CallContext,
  callFailed,
  cancelled,
  deadlinePassed,
  forwardContext,
  wrongAnswer,
} from "./call_errors.ts";
import { BLOCK_DEADLINE_MS, CLOSE_DEADLINE_MS, SMALL_WORK_DEADLINE_MS } from "./deadlines.ts";
import type { WorkerClient } from "./worker_client.ts";

export interface RemoteSessionOptions {
  readonly client: WorkerClient;
  readonly description: ExpertDescription;
  /** @throws {TuttiError} RESOURCE_EXHAUSTED for a command that the worker would not take */
  checkSize(what: string, bytes: number): void;
}

/** What waits for the next event. */
interface Waiting {
  readonly context: CallContext;
  readonly signal: AbortSignal | undefined;
  resolve(event: Message): void;
  reject(error: TuttiError): void;
}

export class RemoteSession implements ExpertSession {
  readonly #options: RemoteSessionOptions;
  readonly #config: SessionConfig;
  readonly #stream: ClientDuplexStream<Message, Message>;
  readonly #ended = Promise.withResolvers<void>();
  #waiting: Waiting | undefined;
  /** How the stream ended, once it has. */
  #end: ServiceError | "ok" | undefined;
  /** Why no command may follow, once we ended the session ourselves. */
  #over: TuttiError | undefined;

  private constructor(options: RemoteSessionOptions, config: SessionConfig) {
    this.#options = options;
    this.#config = config;
    this.#stream = options.client.session();
    this.#stream.on("data", (event: Message) => {
      this.#waiting?.resolve(event);
      this.#waiting = undefined;
    });
    // An error without a listener would end the process; grpc-js may raise one long after the last command.
    this.#stream.on("error", (error: ServiceError) => this.#streamEnded(error));
    this.#stream.on("end", () => this.#streamEnded("ok"));
  }

  /** Settles when the stream has ended, for whatever reason. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** @throws {TuttiError} what the worker refused, or WorkerError */
  static async open(
    options: RemoteSessionOptions,
    config: SessionConfig,
    signal?: AbortSignal,
  ): Promise<RemoteSession> {
    throwIfAborted(signal);
    options.checkSize("The open command", config.encoderHiddenStates.data.byteLength);
    const session = new RemoteSession(options, config);
    try {
      const message = openToMessage(config, options.description.modelHash);
      const context = { doing: "opening a session", deadlineMs: SMALL_WORK_DEADLINE_MS };
      await session.#command(message, "opened", context, signal);
      return session;
    } catch (error) {
      session.#stream.cancel();
      throw error;
    }
  }

  inputBuffer(): undefined {}

  async forward(range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult> {
    throwIfAborted(signal);
    const { first, last, stepIndex, hiddenStates } = range;
    this.#options.checkSize(`The input of block "${first}"`, hiddenStates.data.byteLength);
    const deadlineMs = BLOCK_DEADLINE_MS * this.#blockCount(first, last);
    const context = { ...forwardContext(first, last, stepIndex), deadlineMs };
    const { result } = await this.#command(forwardToMessage(range), "result", context, signal);
    this.#checkOutput(result, last, context);
    return result;
  }

  /** Frees the session on the worker; of a session that is lost nothing is left to free. */
  async close(): Promise<void> {
    if (this.#over) return this.#ended.promise;
    this.#over = this.#closedError("it was closed");
    if (this.#end !== undefined) return;
    try {
      const context = { doing: "closing a session", deadlineMs: CLOSE_DEADLINE_MS };
      await this.#command(closeToMessage(), "closed", context, undefined);
      this.#stream.end();
      await this.#ended.promise;
    } catch {
      this.#stream.cancel();
      await this.#ended.promise;
    }
  }

  /** Sends a command and takes its answer. Cancelling or running out of time gives the whole session up. */
  async #command<K extends SessionEvent["kind"]>(
    message: Message,
    expected: K,
    context: CallContext,
    signal: AbortSignal | undefined,
  ): Promise<Extract<SessionEvent, { kind: K }>> {
    const { address } = this.#options.client;
    if (this.#over && expected !== "closed") throw this.#over;
    if (this.#waiting) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `A session takes one command at a time: one is still ${this.#waiting.context.doing}`,
      );
    }
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    this.#waiting = { context, signal, resolve, reject };
    if (this.#end !== undefined) this.#streamEnded(this.#end);
    else this.#stream.write(message);
    const giveUp = (error: TuttiError) => {
      this.#over ??= this.#closedError(`it was given up while ${context.doing}`);
      this.#waiting = undefined;
      this.#stream.cancel();
      reject(error);
    };
    const onAbort = () => giveUp(cancelled());
    const timer = setTimeout(
      () => giveUp(deadlinePassed(address, context)),
      context.deadlineMs,
    );
    signal?.addEventListener("abort", onAbort);
    try {
      return this.#read(await promise, expected, context);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #read<K extends SessionEvent["kind"]>(
    message: Message,
    expected: K,
    context: CallContext,
  ): Extract<SessionEvent, { kind: K }> {
    const { address } = this.#options.client;
    let event: SessionEvent;
    try {
      event = eventFromMessage(message);
    } catch (error) {
      throw wrongAnswer(error, address, context);
    }
    if (event.kind === "error") throw answerFailed(event.error, address, context);
    if (event.kind !== expected) {
      throw wrongAnswer(`"${event.kind}" instead of "${expected}"`, address, context);
    }
    return event as Extract<SessionEvent, { kind: K }>;
  }

  #blockCount(first: string, last: string): number {
    const { blocks } = this.#options.description;
    const index = (id: string) => blocks.findIndex((block) => block.id === id);
    return Math.max(1, index(last) - index(first) + 1);
  }

  #checkOutput({ hiddenStates }: ForwardResult, last: string, context: CallContext): void {
    const { client, description } = this.#options;
    const { batch, height, width } = this.#config;
    const block = description.blocks.find((candidate) => candidate.id === last);
    if (!block) return;
    try {
      expectShape("hidden_states", hiddenStates, [
        batch,
        ...blockOutputShape(block, height, width),
      ]);
    } catch (error) {
      throw wrongAnswer(error, client.address, context);
    }
  }

  #streamEnded(end: ServiceError | "ok"): void {
    this.#end ??= end;
    this.#ended.resolve();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (!waiting) return;
    const { address } = this.#options.client;
    const { context, signal } = waiting;
    if (this.#over) waiting.reject(cancelled(end));
    else if (this.#end === "ok") waiting.reject(this.#closedError("the worker ended it"));
    else waiting.reject(callFailed(this.#end, address, context, signal));
  }

  #closedError(why: string): WorkerError {
    const worker = this.#options.client.address;
    const text = `The session on worker ${worker} is closed: ${why}`;
    return new WorkerError("FAILED_PRECONDITION", text, { details: { worker } });
  }
}
