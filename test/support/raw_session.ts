/**
 * The client's end of a session's stream without any of the client's care: sends whatever a test wants.
 *
 * @module
 */

import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { WorkerClient } from "../../coordinator/cluster/worker_client.ts";
import type { Transport } from "../../shared/wire/convert_plane.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { codeFromNumber } from "../../shared/wire/status.ts";

/** What a client asks that wants feature maps in its messages. */
export const NO_PLANES: Transport = {
  planes: [],
  wireDtypes: { all: "f32", blocks: new Map() },
  gradientDtype: "f32",
};

/** An answer, or how the stream ended. */
export type RawEvent =
  | { readonly event: Message }
  | { readonly end: string; readonly details: string; readonly error?: ServiceError };

export class RawSession implements Disposable {
  readonly stream: ClientDuplexStream<Message, Message>;
  readonly #client: WorkerClient;
  readonly #events: RawEvent[] = [];
  #wake: () => void = () => {};

  constructor(address: string) {
    this.#client = new WorkerClient(address);
    this.stream = this.#client.session();
    this.stream.on("data", (event: Message) => this.#push({ event }));
    this.stream.on("end", () => this.#push({ end: "OK", details: "" }));
    this.stream.on("error", (error: ServiceError) => {
      this.#push({ end: codeFromNumber(error.code), details: error.details, error });
    });
  }

  send(message: Message): void {
    this.stream.write(message);
  }

  async next(): Promise<RawEvent> {
    if (this.#events.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#events.shift()!;
  }

  /** Sends and takes the answer. */
  ask(message: Message): Promise<RawEvent> {
    this.send(message);
    return this.next();
  }

  [Symbol.dispose](): void {
    this.stream.cancel();
    this.#client.close();
  }

  #push(event: RawEvent): void {
    this.#events.push(event);
    this.#wake();
  }
}
