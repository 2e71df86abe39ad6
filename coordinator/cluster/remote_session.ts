/**
 * A session on a worker: commands on one bidirectional stream, feature maps on the plane that both ends agreed on.
 *
 * @module
 */

import type {
  ExpertSession,
  ForwardRange,
  ForwardResult,
  SessionConfig,
} from "../../shared/engine/expert.ts";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import { closeToMessage, openToMessage } from "../../shared/wire/convert_session.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { forwardContext } from "./call_errors.ts";
import { BLOCK_DEADLINE_MS, CLOSE_DEADLINE_MS, SMALL_WORK_DEADLINE_MS } from "./deadlines.ts";
import { EventStream } from "./event_stream.ts";
import { SessionExchange } from "./session_exchange.ts";
import { SessionTraffic, type SessionTrafficOptions } from "./session_traffic.ts";
import type { WorkerClient } from "./worker_client.ts";

export type RemoteSessionOptions = Omit<SessionTrafficOptions, "address"> & {
  readonly client: WorkerClient;
};

export class RemoteSession implements ExpertSession {
  readonly #options: RemoteSessionOptions;
  readonly #stream: EventStream;
  readonly #exchange: SessionExchange;
  readonly #traffic: SessionTraffic;

  private constructor(options: RemoteSessionOptions, config: SessionConfig) {
    const { address } = options.client;
    this.#options = options;
    this.#stream = new EventStream(options.client.session());
    this.#exchange = new SessionExchange(this.#stream, address);
    this.#traffic = new SessionTraffic({ ...options, address }, config, this.#exchange);
  }

  /** Settles when the stream has ended, for whatever reason. */
  get ended(): Promise<unknown> {
    return this.#stream.ended;
  }

  /** How feature maps travel; undefined after a failure, until the next forward. */
  get plane(): PlaneKind | undefined {
    return this.#traffic.plane;
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
    const context = { doing: "opening a session", deadlineMs: SMALL_WORK_DEADLINE_MS };
    const { description: { modelHash }, transport } = options;
    try {
      await session.#exchange.run({ context, signal }, async (stop) => {
        await session.#exchange.send(openToMessage(config, modelHash, transport));
        const { offers } = await session.#exchange.receive("opened");
        await session.#traffic.takePlane(transport.planes, offers, stop);
      });
      return session;
    } catch (error) {
      session.#traffic.close();
      session.#stream.cancel();
      throw error;
    }
  }

  inputBuffer({ first }: Omit<ForwardRange, "hiddenStates">): F32Tensor | undefined {
    return this.#traffic.inputBuffer(first);
  }

  async forward(range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult> {
    throwIfAborted(signal);
    const { first, last, stepIndex } = range;
    const deadlineMs = BLOCK_DEADLINE_MS * this.#blockCount(first, last);
    const context = { ...forwardContext(first, last, stepIndex), deadlineMs };
    return await this.#exchange.run({ context, signal }, async (stop) => {
      // The plane before this one failed, and what failed on it has been reported.
      if (!this.plane) await this.#traffic.takePlane(["grpc"], [], stop);
      const sentBytes = await this.#traffic.send(range, stop);
      const { output, computeMs, queueMs } = await this.#receiveResult();
      const { hiddenStates, wireBytes: receivedBytes } = await this.#traffic.receive(
        output,
        last,
        context,
        stop,
      );
      const travel = { plane: this.plane ?? "grpc", sentBytes, receivedBytes };
      return { hiddenStates, computeMs, queueMs, travel };
    });
  }

  /** Frees the session on the worker; of a session that is lost nothing is left to free. */
  async close(): Promise<void> {
    if (!this.#exchange.isOver) {
      const context = { doing: "closing a session", deadlineMs: CLOSE_DEADLINE_MS };
      const closing = this.#exchange.run({ context }, async () => {
        await this.#exchange.send(closeToMessage());
        await this.#exchange.receive("closed");
        this.#stream.close();
      });
      this.#exchange.end("it was closed");
      await closing.catch(() => this.#stream.cancel());
    }
    await this.#stream.ended;
    this.#traffic.close();
  }

  async #receiveResult() {
    try {
      return await this.#exchange.receive("result");
    } catch (error) {
      const isPlaneLost = error instanceof TuttiError && error.details.planeState === "lost";
      if (isPlaneLost) this.#traffic.workerLost(error);
      throw error;
    }
  }

  #blockCount(first: string, last: string): number {
    const { blocks } = this.#options.description;
    const index = (id: string) => blocks.findIndex((block) => block.id === id);
    return Math.max(1, index(last) - index(first) + 1);
  }
}
