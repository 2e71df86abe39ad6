/**
 * A tensor there and back over gRPC: both ends of the plane bench. `grpc` is what a session does where no other plane
 * works: pieces on a stream, windows open on both ends. `grpc-plain` is gRPC as it comes: one message, default windows.
 *
 * @module
 */

import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
} from "@grpc/grpc-js";
import { TuttiError } from "../../shared/errors.ts";
import { f32 } from "../../shared/tensor/tensor.ts";
import {
  commandFromMessage,
  forwardToMessage,
  pieceToMessage,
  resultToMessage,
  type SessionCommand,
} from "../../shared/wire/convert_session.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { openFlowWindow } from "../../shared/wire/flow_window.ts";
import { Inbox } from "../../shared/wire/inbox.ts";
import { MAX_MESSAGE_BYTES } from "../../shared/wire/limits.ts";
import { workerService } from "../../shared/wire/load_proto.ts";
import { PiecesPlane, type PieceStream } from "../../shared/wire/plane/session_plane.ts";
import { EventStream } from "../cluster/event_stream.ts";
import { SessionExchange } from "../cluster/session_exchange.ts";
import { WorkerClient } from "../cluster/worker_client.ts";
import { CONTROL_ELEMENTS, type GrpcPlane, type Numbers, type Trip } from "./plane_trips.ts";

const MESSAGE_LIMITS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
};
/** What a tensor is in when it is part of its message: a command there, an answer back. */
const COMMAND = { stepIndex: 0, first: "IN00", last: "IN00" } as const;
const TIMES = { computeMs: 0, queueMs: 0, loadMs: 0 };

/** The coordinator's end. @param address HOST:PORT of the other */
export function openGrpcTrip(plane: GrpcPlane, address: string): Trip & Disposable {
  const { stream, close } = plane === "grpc" ? openStream(address) : openPlainStream(address);
  const exchange = new SessionExchange(stream, address);
  const pieces = new PiecesPlane(exchange);
  return {
    send: (sequence, source) => {
      const hiddenStates = f32([source.length], source);
      return isMessage(plane, source)
        ? exchange.send(forwardToMessage(COMMAND, { hiddenStates }))
        : pieces.send(hiddenStates, { sequence, wireDtype: "f32" });
    },
    receive: async (sequence, target) => {
      if (isMessage(plane, target)) {
        target.set((await exchange.receive("result")).output.hiddenStates!.data);
      } else {
        await pieces.receive(f32([target.length], target), { sequence, wireDtype: "f32" });
      }
      return target;
    },
    [Symbol.dispose]: () => {
      stream.cancel();
      close();
    },
  };
}

export interface GrpcEcho {
  /** HOST:PORT */
  readonly address: string;
  /** Of the first who calls. */
  readonly trip: Promise<Trip>;
  /** Once the call has ended. */
  close(): void;
}

/** The worker's end: waits for one call. */
export async function startGrpcEcho(plane: GrpcPlane): Promise<GrpcEcho> {
  const server = new Server(MESSAGE_LIMITS);
  const { promise: trip, resolve } = Promise.withResolvers<Trip>();
  server.addService(workerService(), {
    Session: (call: ServerDuplexStream<Message, Message>) =>
      resolve(echoTrip(plane, new CommandEnd(call))),
  });
  const flowWindow = plane === "grpc" ? openFlowWindow(server) : undefined;
  const port = await new Promise<number>((bound, failed) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error) failed(error);
      else bound(port);
    })
  );
  flowWindow?.afterBind();
  return { address: `127.0.0.1:${port}`, trip, close: () => server.tryShutdown(() => {}) };
}

/** A control message has its few bytes in itself, and gRPC as it comes has all of them. */
function isMessage(plane: GrpcPlane, { length }: Numbers): boolean {
  return plane === "grpc-plain" || length <= CONTROL_ELEMENTS;
}

function openStream(address: string): { stream: EventStream; close(): void } {
  const client = new WorkerClient(address);
  return { stream: new EventStream(client.session()), close: () => client.close() };
}

function openPlainStream(address: string): { stream: EventStream; close(): void } {
  const client = new Client(address, credentials.createInsecure(), MESSAGE_LIMITS);
  const { path, requestSerialize, responseDeserialize } = workerService().Session!;
  const call = client.makeBidiStreamRequest<Message, Message>(
    path,
    requestSerialize,
    responseDeserialize,
  );
  return { stream: new EventStream(call), close: () => client.close() };
}

function echoTrip(plane: GrpcPlane, end: CommandEnd): Trip {
  const pieces = new PiecesPlane(end);
  return {
    send: (sequence, source) => {
      const hiddenStates = f32([source.length], source);
      return isMessage(plane, source)
        ? end.send(resultToMessage({ output: { hiddenStates }, ...TIMES }))
        : pieces.send(hiddenStates, { sequence, wireDtype: "f32" });
    },
    receive: async (sequence, target) => {
      if (isMessage(plane, target)) {
        target.set((await end.receive("forward")).input.hiddenStates!.data);
      } else {
        await pieces.receive(f32([target.length], target), { sequence, wireDtype: "f32" });
      }
      return target;
    },
  };
}

/** A server's end of the stream, one message at a time as a worker takes them; without a worker's deadlines. */
class CommandEnd implements PieceStream {
  readonly #call: ServerDuplexStream<Message, Message>;
  readonly #inbox: Inbox;
  #isGone = false;

  constructor(call: ServerDuplexStream<Message, Message>) {
    this.#call = call;
    this.#inbox = new Inbox(call);
    call.on("cancelled", () => {
      this.#isGone = true;
      this.#inbox.wake();
    });
    // Without a listener, a connection that breaks would end the process before it has said why.
    call.on("error", () => {});
  }

  /** @throws {TuttiError} UNAVAILABLE if the bench is gone */
  async receive<K extends SessionCommand["kind"]>(
    expected: K,
  ): Promise<Extract<SessionCommand, { kind: K }>> {
    if (this.#inbox.isEmpty && !this.#isGone) {
      await new Promise<void>((resolve) => this.#inbox.onArrival(resolve));
    }
    const message = this.#inbox.take();
    if (!message) throw new TuttiError("UNAVAILABLE", "The bench has gone");
    const command = commandFromMessage(message);
    if (command.kind !== expected) {
      throw new TuttiError("INTERNAL", `"${command.kind}" came instead of "${expected}"`);
    }
    return command as Extract<SessionCommand, { kind: K }>;
  }

  async receivePiece(): Promise<Uint8Array> {
    return (await this.receive("piece")).data;
  }

  async sendPiece(data: Uint8Array): Promise<void> {
    await this.send(pieceToMessage(data));
  }

  send(message: Message): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#call.write(message, () => resolve());
    return promise;
  }
}
