/**
 * A session on a worker: commands on one bidirectional stream, feature maps on the plane that both ends agreed on.
 *
 * @module
 */

import { BackwardOrder, noInputsKept } from "../../shared/engine/backward_order.ts";
import type {
  ExpertSession,
  ForwardRange,
  ForwardResult,
  SessionBackward,
  SessionConfig,
  SessionGradients,
} from "../../shared/engine/expert.ts";
import { throwIfAborted, TuttiError, WorkerError } from "../../shared/errors.ts";
import { blockIndex, blockOutputShape } from "../../shared/models/blocks.ts";
import { addToSpan, inClientSpan } from "../../shared/telemetry/tracing.ts";
import { checkTensor } from "../../shared/tensor/check.ts";
import type { F32Tensor } from "../../shared/tensor/tensor.ts";
import type { Transport } from "../../shared/wire/convert_plane.ts";
import { closeToMessage, openToMessage } from "../../shared/wire/convert_session.ts";
import type { PlaneKind } from "../../shared/wire/plane/plane_kind.ts";
import { backwardContext, forwardContext, restoreContext } from "./call_errors.ts";
import {
  BACKWARD_DEADLINE_MS,
  BLOCK_DEADLINE_MS,
  CLOSE_DEADLINE_MS,
  RESTORE_DEADLINE_MS,
  SMALL_WORK_DEADLINE_MS,
} from "./deadlines.ts";
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
  readonly #config: SessionConfig;
  readonly #order: BackwardOrder;
  #id = "";

  private constructor(options: RemoteSessionOptions, config: SessionConfig) {
    const { address } = options.client;
    this.#options = options;
    this.#config = config;
    this.#order = new BackwardOrder(options.description.blocks);
    this.#stream = new EventStream(options.client.session());
    this.#exchange = new SessionExchange(this.#stream, address);
    this.#traffic = new SessionTraffic({ ...options, address }, config, this.#exchange);
  }

  /** Settles when the stream has ended, for whatever reason. */
  get ended(): Promise<unknown> {
    return this.#stream.ended;
  }

  /** What the worker calls it. */
  get id(): string {
    return this.#id;
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
    const deadlineMs = SMALL_WORK_DEADLINE_MS + (config.waitMs ?? 0);
    const context = { doing: "opening a session", deadlineMs };
    const { description: { modelHash }, transport } = options;
    try {
      await session.#exchange.run({ context, signal }, async (stop) => {
        await session.#exchange.send(openToMessage(config, modelHash, transport));
        const opened = await session.#exchange.receive("opened");
        const { sessionId, offers } = opened;
        session.#id = sessionId;
        if (config.keepInputs) checkWayBack(opened, transport, options.client.address);
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
    this.#order.interrupt();
    return this.#traffic.inputBuffer(first);
  }

  async forward(range: ForwardRange, signal?: AbortSignal): Promise<ForwardResult> {
    throwIfAborted(signal);
    const { first, last, stepIndex } = range;
    const deadlineMs = BLOCK_DEADLINE_MS * this.#blockCount(first, last);
    const context = { ...forwardContext(first, last, stepIndex), deadlineMs };
    return await this.#inSpan(
      "forward",
      range,
      () =>
        this.#exchange.run({ context, signal }, async (stop) => {
          this.#order.interrupt();
          // The plane before this one failed, and what failed on it has been reported.
          if (!this.plane) await this.#traffic.takePlane(["grpc"], [], stop);
          const sentBytes = await this.#traffic.send("forward", range, stop);
          const { output, computeMs, queueMs, loadMs } = await this.#receive("result");
          this.#order.ran(this.#indexOf(first), this.#indexOf(last), stepIndex);
          const { hiddenStates, wireBytes: receivedBytes } = await this.#traffic.receive(
            output,
            last,
            context,
            stop,
          );
          const travel = { plane: this.plane ?? "grpc", sentBytes, receivedBytes };
          return { hiddenStates, computeMs, queueMs, loadMs, travel };
        }),
    );
  }

  async restore(range: ForwardRange, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const { first, last, stepIndex } = range;
    const context = {
      ...restoreContext(first, last, stepIndex),
      deadlineMs: RESTORE_DEADLINE_MS,
    };
    await this.#inSpan(
      "restore",
      range,
      () =>
        this.#exchange.run({ context, signal }, async (stop) => {
          this.#order.interrupt();
          if (!this.plane) await this.#traffic.takePlane(["grpc"], [], stop);
          await this.#traffic.send("restore", range, stop);
          await this.#receive("restored");
        }),
    );
  }

  gradientBuffer(range: Omit<SessionBackward, "gradOutput">): F32Tensor | undefined {
    this.#locate(range);
    return this.#traffic.gradientBuffer(range.last);
  }

  async backward(range: SessionBackward, signal?: AbortSignal): Promise<SessionGradients> {
    throwIfAborted(signal);
    const { first, last, stepIndex, gradOutput } = range;
    // What the worker would refuse is refused here: a socket on which an unwanted tensor comes has to be closed.
    const indices = this.#locate(range);
    const { batch, height, width } = this.#config;
    const block = this.#options.description.blocks[indices.last]!;
    const shape = [batch, ...blockOutputShape(block, height, width)];
    checkTensor("grad_output", gradOutput, "float32", shape);
    const deadlineMs = BACKWARD_DEADLINE_MS * this.#blockCount(first, last);
    const context = { ...backwardContext(first, last, stepIndex), deadlineMs };
    return await this.#inSpan(
      "backward",
      range,
      () =>
        this.#exchange.run({ context, signal }, async (stop) => {
          if (!this.plane) await this.#traffic.takePlane(["grpc"], [], stop);
          this.#order.goes(indices.last);
          const sentBytes = await this.#traffic.sendGradient(range, stop);
          const event = await this.#receive("gradients");
          const leaving = this.#order.leavingSkips(indices.first, indices.last);
          const { wireBytes: receivedBytes, ...gradients } = await this.#traffic.receiveGradients(
            event,
            first,
            leaving,
            context,
            stop,
          );
          this.#order.went(indices.first);
          const travel = { plane: this.plane ?? "grpc", sentBytes, receivedBytes };
          return { ...gradients, computeMs: event.computeMs, queueMs: event.queueMs, travel };
        }),
    );
  }

  /** Frees the session on the worker; of a session that is lost nothing is left to free. */
  async close(): Promise<void> {
    if (!this.#exchange.isOver) {
      const context = { doing: "closing a session", deadlineMs: CLOSE_DEADLINE_MS };
      const closing = this.#exchange.run({ context }, async () => {
        await this.#exchange.send(closeToMessage());
        await this.#exchange.receive("closed");
        this.#stream.close();
        // Closed, it is of no use to wait longer for the stream's own end than for the answer.
        await this.#stream.ended;
      });
      this.#exchange.end("it was closed");
      await closing.catch(() => this.#stream.cancel());
    }
    await this.#stream.ended;
    this.#traffic.close();
  }

  /** @throws {TuttiError} as `backward()` of any session does, for a range that may not come now */
  #locate(range: Omit<SessionBackward, "gradOutput">) {
    if (!this.#config.keepInputs) throw noInputsKept();
    return this.#order.locate(range);
  }

  async #receive<K extends "result" | "restored" | "gradients">(kind: K) {
    try {
      return await this.#exchange.receive(kind);
    } catch (error) {
      const isPlaneLost = error instanceof TuttiError && error.details.planeState === "lost";
      if (isPlaneLost) this.#traffic.workerLost(error);
      throw error;
    }
  }

  /** A span of the call, which is the parent of the worker's. */
  #inSpan<T>(
    name: string,
    { stepIndex, first, last }: Omit<ForwardRange, "hiddenStates">,
    work: () => Promise<T>,
  ): Promise<T> {
    return inClientSpan(name, {
      "server.address": this.#options.client.address,
      "tutti.expert": this.#options.description.name,
      ...{ "tutti.first": first, "tutti.last": last, "tutti.step": stepIndex },
    }, async () => {
      const result = await work();
      addToSpan({ "tutti.plane": this.plane ?? "grpc" });
      return result;
    });
  }

  #blockCount(first: string, last: string): number {
    return Math.max(1, this.#indexOf(last) - this.#indexOf(first) + 1);
  }

  #indexOf(id: string): number {
    return blockIndex(this.#options.description.blocks, id);
  }
}

/** @throws {WorkerError} FAILED_PRECONDITION if the worker did not know what it was asked for */
function checkWayBack(
  { keepInputs, gradientDtype }: Pick<Transport, "gradientDtype"> & { keepInputs: boolean },
  asked: Transport,
  worker: string,
): void {
  if (!keepInputs) {
    throw new WorkerError(
      "FAILED_PRECONDITION",
      `Worker ${worker} keeps no inputs for a way back: it is an older version of Tutti, update it`,
      { details: { worker, field: "keep_inputs" } },
    );
  }
  if (gradientDtype !== asked.gradientDtype) {
    throw new WorkerError(
      "FAILED_PRECONDITION",
      `Worker ${worker} sends gradients as ${gradientDtype}, not as ${asked.gradientDtype}: it is an ` +
        `older version of Tutti, update it, or choose --gradient-dtype ${gradientDtype}`,
      { details: { worker, field: "gradient_dtype" } },
    );
  }
}
