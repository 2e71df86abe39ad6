/**
 * The worker's side of a session: one open, then ranges of blocks, then close, each answered before the next
 * is read. However the stream ends (close, cancel, lost connection, idle limit, a stopping worker), the
 * session behind it is closed and its bytes are given back before anyone is told.
 *
 * @module
 */

import type { handleBidiStreamingCall } from "@grpc/grpc-js";
import type { ExpertSession, ForwardRange } from "../../shared/engine/expert.ts";
import { TuttiError } from "../../shared/errors.ts";
import {
  closedToMessage,
  commandFromMessage,
  type OpenCommand,
  openedToMessage,
  resultToMessage,
} from "../../shared/wire/convert.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { errorToMessage, errorToStatus } from "../../shared/wire/status.ts";
import { sessionBytes } from "../session_bytes.ts";
import type { SessionTicket } from "../session_registry.ts";
import type { WorkerHost } from "../worker_host.ts";
import { checkModelHash, checkOpen, checkTextStates } from "./check_request.ts";
import { CommandStream } from "./command_stream.ts";

interface OpenSession {
  readonly session: ExpertSession;
  readonly ticket: SessionTicket;
}

export function sessionHandler(host: WorkerHost): handleBidiStreamingCall<Message, Message> {
  return (call) => {
    const stream = new CommandStream(call, {
      idleLimitSeconds: host.limits.idleLimitSeconds,
      stopping: host.stopping,
    });
    host.track(
      new SessionStream(host, stream, call.getPeer()).run().then(
        () => void call.end(),
        // grpc-js ends a server's stream with the status that its "error" event carries.
        (error) => void call.emit("error", errorToStatus(error)),
      ),
    );
  };
}

class SessionStream {
  readonly #host: WorkerHost;
  readonly #stream: CommandStream;
  readonly #peer: string;
  #open: OpenSession | undefined;

  constructor(host: WorkerHost, stream: CommandStream, peer: string) {
    this.#host = host;
    this.#stream = stream;
    this.#peer = peer;
  }

  /** @throws {TuttiError} where the stream must end with a status */
  async run(): Promise<void> {
    let closeWanted = false;
    try {
      closeWanted = await this.#obey();
    } finally {
      await this.#release();
    }
    if (closeWanted) await this.#stream.send(closedToMessage());
  }

  /** Obeys commands until there are no more; true if the last one was close. */
  async #obey(): Promise<boolean> {
    for (;;) {
      const message = await this.#stream.receive();
      if (message === undefined) return false;
      if (this.#open === undefined) {
        await this.#stream.send(await this.#openFirst(message));
        continue;
      }
      const answer = await this.#answer(this.#open, message);
      if (answer === undefined) return true;
      await this.#stream.send(answer);
    }
  }

  async #openFirst(message: Message): Promise<Message> {
    const command = commandFromMessage(message);
    if (command.kind !== "open") {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `A session must be opened first: current command is "${command.kind}"`,
      );
    }
    this.#open = await this.#openSession(command.open);
    const { ticket } = this.#open;
    return openedToMessage(ticket.id, ticket.arenaBytes);
  }

  async #openSession(open: OpenCommand): Promise<OpenSession> {
    const { expert, limits, sessions, load } = this.#host;
    checkModelHash(expert.description, open.modelHash);
    checkOpen(expert.description, limits, open);
    const encoderHiddenStates = open.encoderHiddenStates();
    checkTextStates(expert.description, limits, encoderHiddenStates, open.batch);
    const { batch, height, width, timesteps } = open;
    const tokens = encoderHiddenStates.shape[1] ?? 0;
    const addedCond = open.addedCond();
    // With added conditioning the time embeddings of a step differ between rows.
    const embeddings = timesteps.length * (addedCond ? batch : 1);
    const size = { batch, height, width, tokens, timesteps: embeddings };
    const arenaBytes = sessionBytes(expert.description, size);
    const ticket = sessions.admit({
      ...size,
      timesteps: timesteps.length,
      peer: this.#peer,
      arenaBytes,
    });
    try {
      const config = {
        ...{ batch, height, width, timesteps, encoderHiddenStates },
        ...(addedCond && { addedCond }),
      };
      const session = await load.sessionCommand(() =>
        expert.openSession(config, this.#stream.gone)
      );
      return { session, ticket };
    } catch (error) {
      ticket.release();
      throw error;
    }
  }

  /** The answer to a command after the first, or `undefined` for close. Errors become answers: the session lives on. */
  async #answer(open: OpenSession, message: Message): Promise<Message | undefined> {
    try {
      const command = commandFromMessage(message);
      if (command.kind === "close") return undefined;
      if (command.kind === "open") {
        throw new TuttiError(
          "FAILED_PRECONDITION",
          `This stream has its session, "${open.ticket.id}": open another stream for another one`,
        );
      }
      return resultToMessage(await this.#forward(open, command.forward));
    } catch (error) {
      if (this.#stream.gone.aborted) throw error;
      return { error: errorToMessage(TuttiError.from(error)) };
    }
  }

  async #forward({ session, ticket }: OpenSession, range: ForwardRange) {
    const { load } = this.#host;
    ticket.commandBegan(range.stepIndex);
    try {
      return await load.sessionCommand(() => session.forward(range, this.#stream.gone));
    } finally {
      ticket.commandEnded();
    }
  }

  async #release(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (!open) return;
    try {
      await open.session.close();
    } finally {
      open.ticket.release();
    }
  }
}
