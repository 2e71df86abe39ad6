/**
 * An expert that runs on a worker. Answers are checked as strictly as a worker checks requests, and carry
 * the same bits as the worker's own expert gives.
 *
 * @module
 */

import type {
  AddedCond,
  Expert,
  ExpertDescription,
  SessionConfig,
  TextEncoding,
  TextOptions,
  WeightsHashes,
} from "../../shared/engine/expert.ts";
import { chooseText } from "../../shared/engine/choose_text.ts";
import { TuttiError } from "../../shared/errors.ts";
import type { F32Tensor, Tensor } from "../../shared/tensor/tensor.ts";
import {
  embedTimestepsToMessage,
  encodeTextToMessage,
  textEncodingFromMessage,
  timeEmbeddingFromMessage,
} from "../../shared/wire/convert.ts";
import {
  type Versions,
  weightsHashesFromMessage,
  type WorkerDescription,
} from "../../shared/wire/convert_description.ts";
import {
  MAX_MESSAGE_BYTES,
  RESULT_OVERHEAD_BYTES,
  type WorkerLimits,
} from "../../shared/wire/limits.ts";
import { type CallContext, wrongAnswer } from "./call_errors.ts";
import { describeWorker } from "./connect.ts";
import { CONNECT_TIMEOUT_MS, SMALL_WORK_DEADLINE_MS } from "./deadlines.ts";
import { expectShape } from "./expect_shape.ts";
import { RemoteSession } from "./remote_session.ts";
import {
  type TensorTransport,
  type TransportOptions,
  transportTo,
  withGradients,
  withWireDtypes,
} from "./tensor_transport.ts";
import { WorkerClient } from "./worker_client.ts";

export interface ConnectOptions {
  /** Longest wait for the worker's description, a model that is still loading included, ms. @default 10000 */
  readonly connectTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** How feature maps travel in sessions. */
  readonly transport?: TransportOptions;
}

/**
 * Finds the worker and learns who its expert is.
 *
 * @param address HOST:PORT
 * @throws {UsageError} if the address is malformed
 * @throws {WorkerError} UNAVAILABLE if nothing answers there, FAILED_PRECONDITION if it is no Tutti worker or
 * speaks another revision of the protocol; the message says what to do
 */
export async function connectExpert(
  address: string,
  { connectTimeoutMs = CONNECT_TIMEOUT_MS, signal, transport }: ConnectOptions = {},
): Promise<RemoteExpert> {
  const client = new WorkerClient(address);
  try {
    const worker = await describeWorker(client, connectTimeoutMs, signal);
    const { tls } = client.credentials;
    return new RemoteExpert(client, worker, {
      ...transportTo(client.address, transport),
      ...(tls && { tls }),
    });
  } catch (error) {
    client.close();
    throw error;
  }
}

export class RemoteExpert implements Expert {
  readonly description: ExpertDescription;
  /** HOST:PORT */
  readonly address: string;
  /** What the worker accepts. */
  readonly limits: WorkerLimits;
  readonly versions: Versions;
  /** The U-Net's config.json, or `""`. */
  readonly configJson: string;
  readonly #client: WorkerClient;
  readonly #transport: TensorTransport;
  readonly #sessions = new Set<RemoteSession>();

  constructor(client: WorkerClient, worker: WorkerDescription, transport: TensorTransport) {
    this.#client = client;
    this.#transport = transport;
    this.address = client.address;
    this.description = worker.expert;
    this.limits = worker.limits;
    this.versions = worker.versions;
    this.configJson = worker.configJson;
  }

  // Async, so that a refusal is a rejection whoever refuses.
  async encodeText(
    inputIds: Tensor<"int64">,
    { encoder = 0, clipSkip = 1 }: TextOptions = {},
    signal?: AbortSignal,
  ): Promise<TextEncoding> {
    const { hiddenSize, pooledDim } = chooseText(this.description, encoder);
    this.#checkSize("The text", inputIds.data.byteLength);
    const request = { inputIds, encoder, clipSkip };
    const message = encodeTextToMessage(request, this.description.modelHash);
    const context = { doing: "encoding text", deadlineMs: SMALL_WORK_DEADLINE_MS };
    return await this.#unary("EncodeText", message, context, signal, (response) => {
      const encoding = textEncodingFromMessage(response);
      const [rows = 0, tokens = 0] = inputIds.shape;
      const states = [rows, tokens, hiddenSize];
      expectShape("last_hidden_state", encoding.lastHiddenState, states);
      expectShape("penultimate_hidden_state", encoding.penultimateHiddenState, states);
      expectShape("pooled", encoding.pooled, [rows, pooledDim]);
      return encoding;
    });
  }

  embedTimesteps(
    timesteps: readonly number[],
    signal?: AbortSignal,
    addedCond?: AddedCond,
  ): Promise<F32Tensor> {
    const { modelHash, timeEmbedDim } = this.description;
    const message = embedTimestepsToMessage(timesteps, modelHash, addedCond);
    const context = { doing: "embedding timesteps", deadlineMs: SMALL_WORK_DEADLINE_MS };
    return this.#unary("EmbedTimesteps", message, context, signal, (response) => {
      const temb = timeEmbeddingFromMessage(response);
      const rows = timesteps.length * (addedCond?.timeIds.shape[0] ?? 1);
      expectShape("temb", temb, [rows, timeEmbedDim]);
      return temb;
    });
  }

  async weightsHashes(signal?: AbortSignal): Promise<WeightsHashes | undefined> {
    const context = { doing: "hashing its weights", deadlineMs: SMALL_WORK_DEADLINE_MS };
    const message = { weightsHash: true };
    return await this.#unary("Describe", message, context, signal, weightsHashesFromMessage);
  }

  async openSession(config: SessionConfig, signal?: AbortSignal): Promise<RemoteSession> {
    const transport = config.wireDtypes
      ? withWireDtypes(this.address, this.#transport, config.wireDtypes)
      : this.#transport;
    const options = {
      client: this.#client,
      description: this.description,
      transport: config.keepInputs ? withGradients(transport) : transport,
      checkSize: (what: string, bytes: number) => this.#checkSize(what, bytes),
    };
    const session = await RemoteSession.open(options, config, signal);
    this.#sessions.add(session);
    session.ended.then(() => this.#sessions.delete(session));
    return session;
  }

  /** Closes its sessions and the connection; the worker and its model stay. */
  async close(): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.close()));
    this.#client.close();
  }

  /**
   * Closes the connection when the sessions have ended, and none of them. What they gave stays readable until their owners
   * close them: a result may lie in memory that goes with its session.
   */
  async disconnect(): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.ended));
    this.#client.close();
  }

  async #unary<T>(
    method: string,
    message: Parameters<WorkerClient["unary"]>[1],
    context: CallContext & { deadlineMs: number },
    signal: AbortSignal | undefined,
    read: (response: unknown) => T,
  ): Promise<T> {
    const settings = { deadlineMs: context.deadlineMs, signal, context };
    const response = await this.#client.unary(method, message, settings);
    try {
      return read(response);
    } catch (error) {
      throw wrongAnswer(error, this.address, context);
    }
  }

  /** Refuses here what the worker, or gRPC on the way, would refuse with less to say. */
  #checkSize(what: string, bytes: number): void {
    const limit = Math.min(this.limits.maxMessageBytes, MAX_MESSAGE_BYTES) - RESULT_OVERHEAD_BYTES;
    if (bytes <= limit) return;
    throw new TuttiError(
      "RESOURCE_EXHAUSTED",
      `${what} must have at most ${limit} bytes of tensors for worker ${this.address}: ` +
        `current count is ${bytes}. Use fewer rows or a smaller size`,
      { details: { worker: this.address, limit: "max_message_bytes", asked: String(bytes) } },
    );
  }
}
