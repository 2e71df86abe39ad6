/**
 * The worker's side of a session: one open, then a plane and ranges of blocks, then close, each answered before the next
 * is read. However the stream ends (close, cancel, lost connection, idle limit, a draining or stopping worker), the
 * session behind it is closed and its bytes are given back before anyone is told.
 *
 * @module
 */

import type { handleBidiStreamingCall } from "@grpc/grpc-js";
import type { ExpertSession, ForwardResult } from "../../shared/engine/expert.ts";
import { arenaLayout } from "../../shared/engine/session_arena.ts";
import { noInputsKept } from "../../shared/engine/backward_order.ts";
import { isCommon } from "../../shared/engine/step_tembs.ts";
import { TuttiError } from "../../shared/errors.ts";
import { blockIndex } from "../../shared/models/blocks.ts";
import { inServerSpan, pastSpans } from "../../shared/telemetry/tracing.ts";
import { type PlaneUse, wireDtypeOf } from "../../shared/wire/convert_plane.ts";
import {
  closedToMessage,
  commandFromMessage,
  type OpenCommand,
  openedToMessage,
  planeInUseToMessage,
  restoredToMessage,
  type SessionCommand,
} from "../../shared/wire/convert_session.ts";
import type { Message } from "../../shared/wire/fields.ts";
import { errorToMessage, errorToStatus } from "../../shared/wire/status.ts";
import type { OfferedPlanes } from "../plane/plane_host.ts";
import type { SessionTicket } from "../admission/session_ticket.ts";
import { PlaneTraffic, type Received } from "../plane/plane_traffic.ts";
import { sessionBytes } from "../session_bytes.ts";
import type { WorkerHost } from "../worker_host.ts";
import { resetCall } from "./call_internals.ts";
import { checkModelHash, checkOpen, checkTextStates } from "./check_request.ts";
import { CommandStream } from "./command_stream.ts";

type RangeCommand = Extract<SessionCommand, { kind: "forward" | "restore" }>;
type BackwardCommand = Extract<SessionCommand, { kind: "backward" }>;

interface OpenSession {
  readonly session: ExpertSession;
  readonly keepInputs: boolean;
  /** Whether its client can go on with another worker. */
  readonly canMove: boolean;
  readonly ticket: SessionTicket;
  readonly planes: OfferedPlanes;
  readonly traffic: PlaneTraffic;
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
        (error) => {
          const { code } = TuttiError.from(error);
          // Nobody has read what was written for as long as a session may idle: a status would come behind it.
          if (code === "DEADLINE_EXCEEDED" && call.writableLength > 0 && resetCall(call)) return;
          // grpc-js ends a server's stream with the status that its "error" event carries.
          call.emit("error", errorToStatus(error));
        },
      ),
    );
  };
}

class SessionStream {
  readonly #host: WorkerHost;
  readonly #stream: CommandStream;
  readonly #peer: string;
  #open: OpenSession | undefined;
  #blocksRun = 0;
  /** Tells that this owner of the job has one session less here. */
  #leaveJob: () => void = () => {};

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
    } catch (error) {
      await this.#release(error);
      throw error;
    }
    await this.#release();
    if (closeWanted) await this.#stream.send(closedToMessage());
  }

  /** Obeys commands until there are no more; true if the last one was close. */
  async #obey(): Promise<boolean> {
    const opening = await this.#opening();
    if (!opening) return false;
    this.#open = await this.#counted("open", () => this.#openSession(opening));
    await this.#stream.send(this.#opened(this.#open, opening));
    for (;;) {
      const next = await this.#answerNext(this.#open);
      if (next !== "next") return next === "close";
    }
  }

  /**
   * The first command, or `undefined` if there is none. Its message ends with this call, as others do with theirs: it may
   * be far larger than what the session is counted with.
   */
  async #opening(): Promise<OpenCommand | undefined> {
    const message = await this.#stream.receive();
    if (message === undefined) return undefined;
    let command: SessionCommand;
    try {
      command = commandFromMessage(message);
    } catch (error) {
      return await this.#counted("open", () => Promise.reject(error));
    }
    if (command.kind === "open") return command.open;
    throw new TuttiError(
      "FAILED_PRECONDITION",
      `A session must be opened first: current command is "${command.kind}"`,
    );
  }

  #opened({ ticket, planes, keepInputs }: OpenSession, { transport }: OpenCommand): Message {
    this.#host.log.sessionOpened(ticket);
    const { id: sessionId, arenaBytes } = ticket;
    const { offers } = planes;
    const gradientDtype = keepInputs ? transport.gradientDtype : "f32";
    return openedToMessage({ sessionId, arenaBytes, offers, keepInputs, gradientDtype });
  }

  async #answerNext(open: OpenSession): Promise<"next" | "close" | "end"> {
    const message = await this.#stream.receive();
    return message === undefined ? "end" : await this.#answer(open, message);
  }

  async #openSession(open: OpenCommand): Promise<OpenSession> {
    const { expert, limits, admission, load } = this.#host;
    checkModelHash(expert.description, open.modelHash);
    checkOpen(expert.description, limits, open);
    const { encoderHiddenStates, addedCond } = open;
    checkTextStates(expert.description, limits, encoderHiddenStates, open.batch);
    const { batch, height, width, timesteps, keepInputs = false, canMove = false } = open;
    const tokens = encoderHiddenStates.shape[1] ?? 0;
    const rowsDiffer = addedCond !== undefined || !timesteps.every(isCommon);
    const embeddings = timesteps.length * (rowsDiffer ? batch : 1);
    const size = { batch, height, width, tokens, timesteps: embeddings, keepInputs };
    const arenaBytes = sessionBytes(expert.description, size);
    // Before admission: what an earlier owner of the job holds is given back.
    this.#enterJob(open);
    const ticket = await admission.admit({
      ...size,
      timesteps: timesteps.length,
      peer: this.#peer,
      job: open.job ?? this.#peer,
      jobSessions: open.jobSessions ?? 1,
      arenaBytes,
    }, { waitMs: open.waitMs ?? 0, signal: this.#stream.gone });
    using held = new DisposableStack();
    held.defer(() => ticket.release());
    const planes = held.use(
      await this.#host.planes.offer({
        planes: open.transport.planes,
        peerHost: hostOf(this.#peer),
        arenaBytes: arenaLayout(expert.description.blocks, size).bytes,
      }),
    );
    const { memory } = planes;
    const config = {
      ...{ batch, height, width, timesteps, encoderHiddenStates, keepInputs },
      ...(addedCond && { addedCond }),
      ...(open.job !== undefined && { job: open.job }),
      ...(memory && { memory }),
    };
    const session = await load.sessionCommand(() => expert.openSession(config, this.#stream.gone));
    this.#stream.onMove(() => ticket.moved());
    const { wireDtypes, gradientDtype } = open.transport;
    const { blocks } = expert.description;
    const [firstBlock, lastBlock] = [blocks[0]!.id, blocks.at(-1)!.id];
    const traffic = new PlaneTraffic(this.#stream, {
      dtypeOf: (block) => wireDtypeOf(wireDtypes, block, lastBlock),
      gradientDtype,
      // Those of the latents stay exact, as the latents do.
      inputGradientDtype: (first) => first === firstBlock ? "f32" : gradientDtype,
      idleLimitSeconds: limits.idleLimitSeconds,
      onLost: (plane) => this.#host.metrics?.planeFallback(plane, "lost"),
    });
    // From now on the session's end gives them back.
    held.move();
    return { session, keepInputs, canMove, ticket, planes, traffic };
  }

  /** @throws {TuttiError} FAILED_PRECONDITION if the job has another owner by now */
  #enterJob({ job, fence }: OpenCommand): void {
    if (fence === undefined) return;
    if (job === undefined) {
      throw new TuttiError(
        "INVALID_ARGUMENT",
        `OpenSession.fence needs OpenSession.job, whose owners it counts: current fence is ${fence}`,
        { details: { field: "fence" } },
      );
    }
    const { fences } = this.#host;
    this.#leaveJob = fences.enter(job, fence, (error) => this.#stream.expire(error));
  }

  /** Answers a command after the first. Errors become answers: the session lives on. */
  async #answer(open: OpenSession, message: Message): Promise<"next" | "close"> {
    try {
      const command = commandFromMessage(message);
      switch (command.kind) {
        case "close":
          return "close";
        case "piece": // Of a tensor that was refused.
          return "next";
        case "open":
          throw new TuttiError(
            "FAILED_PRECONDITION",
            `This stream has its session, "${open.ticket.id}": open another stream for another one`,
          );
        case "usePlane":
          await this.#counted("use_plane", () => this.#usePlane(open, command.use));
          return "next";
        case "forward":
          await this.#traced(
            open,
            command,
            () => this.#counted("forward", () => this.#forward(open, command)),
          );
          return "next";
        case "restore":
          await this.#traced(open, command, () => this.#restore(open, command));
          return "next";
        case "backward":
          await this.#traced(
            open,
            command,
            () => this.#counted("backward", () => this.#backward(open, command)),
          );
          return "next";
      }
    } catch (error) {
      const typed = TuttiError.from(error);
      if (this.#stream.gone.aborted || typed.details.handover === "true") throw typed;
      await this.#stream.send({ error: errorToMessage(typed) });
      return "next";
    }
  }

  async #usePlane({ planes, traffic, ticket }: OpenSession, use: PlaneUse): Promise<void> {
    const best = planes.offers[0]?.plane;
    traffic.use(await planes.take(use, this.#stream));
    if (best && best !== use.plane) this.#host.metrics?.planeFallback(best, "not_taken");
    ticket.plane = use.plane;
    await this.#stream.send(planeInUseToMessage(use.plane));
  }

  async #forward(open: OpenSession, command: RangeCommand): Promise<void> {
    const { session, traffic, ticket } = open;
    const { range } = command;
    await this.#timed(open, range.stepIndex, async () => {
      const { tensor: hiddenStates, passage } = await this.#inputOf(open, command);
      this.#handOver(open, range.first);
      const result: ForwardResult = await this.#computed(
        ticket,
        () => session.forward({ ...range, hiddenStates }, this.#stream.gone),
      );
      const { queueMs, loadMs, computeMs } = result;
      pastSpans([["queue", queueMs], ["load", loadMs], ["compute", computeMs]]);
      const departure = await traffic.answer(range.last, result);
      const { first, last } = range;
      const times = { first, last, queueMs, loadMs, computeMs, arrival: passage, departure };
      const blocks = this.#blockCount(range);
      this.#host.countRange(times, blocks);
      this.#blocksRun += blocks;
    });
  }

  /**
   * Between two steps a session has nothing that its client could not send anew, so this is where one ends that can go
   * on elsewhere. Its input was received all the same: a client whose tensor nobody reads would take the plane for lost.
   *
   * @throws {WorkerError} UNAVAILABLE with `handover`, which ends the stream, if the worker drains and a step begins
   */
  #handOver({ canMove }: OpenSession, first: string): void {
    const { draining, expert } = this.#host;
    const beginsStep = first === expert.description.blocks[0]!.id;
    if (draining.aborted && canMove && beginsStep) {
      throw this.#host.drainingError({ handover: true });
    }
  }

  async #restore(open: OpenSession, command: RangeCommand): Promise<void> {
    const { session } = open;
    const { range } = command;
    await this.#timed(open, range.stepIndex, async () => {
      const { tensor: hiddenStates } = await this.#inputOf(open, command);
      if (!session.restore) throw new TuttiError("UNIMPLEMENTED", "This session restores nothing");
      await session.restore({ ...range, hiddenStates }, this.#stream.gone);
      await this.#stream.send(restoredToMessage());
    });
  }

  async #inputOf(
    { session, traffic }: OpenSession,
    { range, input }: RangeCommand,
  ): Promise<Pick<Received, "tensor"> & Partial<Received>> {
    if (!input.head) return { tensor: input.hiddenStates };
    return await traffic.receive("hidden_states", input.head, () => session.inputBuffer(range));
  }

  async #backward(open: OpenSession, { range, gradOutput: head }: BackwardCommand): Promise<void> {
    const { session, traffic, ticket } = open;
    await this.#timed(open, range.stepIndex, async () => {
      const { tensor: gradOutput } = await traffic.receive("grad_output", head, () => {
        if (!session.gradientBuffer) throw noInputsKept();
        return session.gradientBuffer(range);
      });
      const gradients = await this.#computed(
        ticket,
        () => session.backward!({ ...range, gradOutput }, this.#stream.gone),
      );
      pastSpans([["queue", gradients.queueMs], ["compute", gradients.computeMs]]);
      await traffic.answerGradients(range.first, gradients);
    });
  }

  /** Tells status and progress that a lane is busy, or will be, with this session. */
  #computed<T>(ticket: SessionTicket, work: () => Promise<T>): Promise<T> {
    return ticket.computing(() => this.#host.load.sessionCommand(work));
  }

  /** A span of the client's trace. */
  #traced(
    { ticket }: OpenSession,
    { kind, range }: RangeCommand | BackwardCommand,
    work: () => Promise<void>,
  ): Promise<void> {
    const { first, last, stepIndex, trace } = range;
    return inServerSpan(
      `worker ${kind}`,
      {
        "client.address": this.#peer,
        "tutti.expert": this.#host.expert.description.name,
        ...{ "tutti.first": first, "tutti.last": last, "tutti.step": stepIndex },
        ...{ "tutti.session": ticket.id, "tutti.job": ticket.job },
      },
      trace,
      work,
    );
  }

  /** Tells metrics and log how a command ended. */
  async #counted<T>(command: string, work: () => Promise<T>): Promise<T> {
    const { metrics, log } = this.#host;
    try {
      const result = await work();
      metrics?.command(command);
      return result;
    } catch (error) {
      metrics?.command(command, error);
      const { id: session, job } = this.#open?.ticket ?? {};
      log.failed(command, error, { session, job, peer: this.#peer });
      throw error;
    }
  }

  /** Of a range that has run. */
  #blockCount({ first, last }: { readonly first: string; readonly last: string }): number {
    const { blocks } = this.#host.expert.description;
    return blockIndex(blocks, last) - blockIndex(blocks, first) + 1;
  }

  /** Keeps the session's entry in the list while it works at a command. */
  async #timed(
    { ticket, traffic }: OpenSession,
    stepIndex: number,
    work: () => Promise<void>,
  ): Promise<void> {
    ticket.commandBegan(stepIndex);
    try {
      await work();
    } finally {
      ticket.plane = traffic.plane;
      ticket.commandEnded();
    }
  }

  /** @param error what ended the session */
  async #release(error?: unknown): Promise<void> {
    this.#leaveJob();
    const open = this.#open;
    this.#open = undefined;
    if (!open) return;
    this.#host.log.sessionClosed(open.ticket, this.#blocksRun, error);
    try {
      await open.session.close();
    } finally {
      open.traffic.close();
      open.planes[Symbol.dispose]();
      open.ticket.release();
    }
  }
}

/** `127.0.0.1` of `127.0.0.1:40112`, `::1` of `[::1]:40112`. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}
