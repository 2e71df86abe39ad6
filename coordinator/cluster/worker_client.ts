/**
 * One connection to one worker: the channel's settings, and its two kinds of call with deadline and cancellation.
 *
 * @module
 */

import {
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type Metadata,
  type ServiceDefinition,
  type ServiceError,
} from "@grpc/grpc-js";
import { throwIfAborted, TuttiError } from "../../shared/errors.ts";
import { formatAddress, parseAddress } from "../../shared/wire/address.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { guardHttp2 } from "../../shared/wire/http2/guard_http2.ts";
import { quietGrpcLog } from "../../shared/wire/grpc_log.ts";
import {
  FLOW_WINDOW_BYTES,
  KEEPALIVE_MS,
  KEEPALIVE_TIMEOUT_MS,
  MAX_MESSAGE_BYTES,
} from "../../shared/wire/limits.ts";
import { workerService } from "../../shared/wire/load_proto.ts";
import { type CallContext, callFailed } from "./call_errors.ts";
import { callMetadata, secureChannel } from "./channel_credentials.ts";
import { closeChannel } from "./close_channel.ts";
import { type Credentials, credentialsFor } from "./credentials.ts";
import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from "./deadlines.ts";

export interface CallSettings {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** What is being done, for errors. */
  readonly context: CallContext;
}

const CHANNEL_OPTIONS: ChannelOptions = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
  "grpc-node.flow_control_window": FLOW_WINDOW_BYTES,
  "grpc.keepalive_time_ms": KEEPALIVE_MS,
  "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
  "grpc.initial_reconnect_backoff_ms": RECONNECT_MIN_MS,
  "grpc.max_reconnect_backoff_ms": RECONNECT_MAX_MS,
  // What to do about a lost worker is the coordinator's decision, never the channel's.
  "grpc.enable_retries": 0,
  // One connection per client, so that closing one never waits for another, and ends no other's.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.enable_channelz": 0,
};

export class WorkerClient {
  /** HOST:PORT */
  readonly address: string;
  readonly credentials: Credentials;
  readonly #client: Client;
  readonly #service: ServiceDefinition;

  /**
   * @param service another service on the worker's port, such as health
   * @throws {UsageError} if the address is malformed, or a token would travel there in plain text
   */
  constructor(address: string, service: ServiceDefinition = workerService()) {
    this.address = formatAddress(parseAddress(address));
    this.#service = service;
    quietGrpcLog();
    guardHttp2();
    this.credentials = credentialsFor(this.address);
    const channel = secureChannel(this.address, this.credentials.tls);
    this.#client = new Client(this.address, channel.credentials, {
      ...CHANNEL_OPTIONS,
      ...channel.options,
    });
  }

  /**
   * One request, one response.
   *
   * @param name of the method, as the .proto file spells it
   * @throws {TuttiError} what the worker raised, CANCELLED, or a WorkerError about the connection
   */
  async unary(name: string, request: Message, settings: CallSettings): Promise<unknown> {
    const { deadlineMs, signal, context } = settings;
    throwIfAborted(signal);
    const { path, requestSerialize, responseDeserialize } = this.#method(name);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call = this.#client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      this.#metadata,
      { deadline: Date.now() + deadlineMs },
      (error: ServiceError | null, response: unknown) => {
        if (error) reject(callFailed(error, this.address, { ...context, deadlineMs }, signal));
        else resolve(response);
      },
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel);
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  /** Opens the stream of a session. */
  session(): ClientDuplexStream<Message, Message> {
    const { path, requestSerialize, responseDeserialize } = this.#method("Session");
    return this.#client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      this.#metadata,
    );
  }

  close(): void {
    closeChannel(this.#client);
  }

  /** The token may have been renewed since this client was made. */
  get #metadata(): Metadata {
    return callMetadata(credentialsFor(this.address));
  }

  #method(name: string): ServiceDefinition[string] {
    const method = this.#service[name];
    if (method) return method;
    throw new TuttiError("UNIMPLEMENTED", `The service has no method "${name}"`);
  }
}
