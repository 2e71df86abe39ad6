/**
 * Commands and events of a session's stream as messages and back. A feature map is part of its message (`hiddenStates`)
 * or travels on the session's plane (`head`).
 *
 * @module
 */

import type {
  ForwardRange,
  SessionBackward,
  SessionConfig,
  StepTimesteps,
} from "../engine/expert.ts";
import { isCommon, rowTimesteps } from "../engine/step_tembs.ts";
import { TuttiError } from "../errors.ts";
import { formatTraceparent, parseTraceparent, type Traceparent } from "../telemetry/traceparent.ts";
import { copyTensor, type F32Tensor } from "../tensor/tensor.ts";
import {
  addedCondFromFields,
  addedCondToMessage,
  MAX_LIST,
  tensorField,
  uint32,
} from "./convert.ts";
import {
  dtypeField,
  dtypeToMessage,
  headFromFields,
  headToMessage,
  MAX_BLOCKS,
  offersFromFields,
  offerToMessage,
  planeField,
  type PlaneOffer,
  planeToMessage,
  type PlaneUse,
  planeUseFromFields,
  planeUseToMessage,
  type TensorHead,
  type Transport,
  transportFromFields,
  transportToMessage,
} from "./convert_plane.ts";
import type { WireDtype } from "./codec/wire_dtype.ts";
import { Fields, type Message } from "./fields.ts";
import { MAX_JOB_LENGTH, MAX_PIECE_BYTES } from "./limits.ts";
import { checkChecksum, withChecksum } from "./message_checksum.ts";
import type { PlaneKind } from "./plane/plane_kind.ts";
import { tensorToMessage } from "./tensor_message.ts";

/** A feature map, or what announces one. */
export type Carried =
  | { readonly hiddenStates: F32Tensor; readonly head?: undefined }
  | { readonly head: TensorHead; readonly hiddenStates?: undefined };

// Commands

/** What a client may ask on a session's stream. */
export type SessionCommand =
  | { readonly kind: "open"; readonly open: OpenCommand }
  | { readonly kind: "usePlane"; readonly use: PlaneUse }
  | { readonly kind: "forward"; readonly range: RangeCommand; readonly input: Carried }
  | { readonly kind: "restore"; readonly range: RangeCommand; readonly input: Carried }
  | { readonly kind: "backward"; readonly range: BackwardCommand; readonly gradOutput: TensorHead }
  | { readonly kind: "piece"; readonly data: Uint8Array }
  | { readonly kind: "close" };

export type RangeCommand = Omit<ForwardRange, "hiddenStates"> & Traced;
export type BackwardCommand = Omit<SessionBackward, "gradOutput"> & Traced;

interface Traced {
  /** The client's span, where it makes some. */
  readonly trace?: Traceparent;
}

/** It shares no bytes with its message: a session keeps it for long. */
export interface OpenCommand extends Omit<SessionConfig, "memory" | "wireDtypes"> {
  readonly modelHash: string;
  readonly transport: Transport;
}

export function openToMessage(
  config: SessionConfig,
  modelHash: string,
  transport: Transport,
): Message {
  return {
    open: {
      modelHash,
      batch: uint32("batch", config.batch),
      height: uint32("height", config.height),
      width: uint32("width", config.width),
      ...timestepsToMessage(config),
      job: config.job ?? "",
      fence: config.fence ?? 0,
      keepInputs: config.keepInputs ?? false,
      waitMs: uint32("wait_ms", config.waitMs ?? 0),
      canMove: config.canMove ?? false,
      jobSessions: uint32("job_sessions", config.jobSessions ?? 1),
      encoderHiddenStates: tensorToMessage(config.encoderHiddenStates),
      ...addedCondToMessage(config.addedCond),
      ...transportToMessage(transport),
    },
  };
}

function timestepsToMessage({ batch, timesteps }: SessionConfig): Message {
  if (timesteps.every(isCommon)) return { timesteps };
  return { rowTimesteps: timesteps.flatMap((step) => rowTimesteps(step, batch)) };
}

export function usePlaneToMessage(use: PlaneUse): Message {
  return { usePlane: planeUseToMessage(use) };
}

export function forwardToMessage(range: RangeCommand, input: Carried): Message {
  return { forward: { ...rangeToMessage(range), ...carriedToMessage(input) } };
}

export function restoreToMessage(range: RangeCommand, input: Carried): Message {
  return { restore: { ...rangeToMessage(range), ...carriedToMessage(input) } };
}

export function backwardToMessage(range: BackwardCommand, gradOutput: TensorHead): Message {
  return { backward: { ...rangeToMessage(range), gradOutput: headToMessage(gradOutput) } };
}

function rangeToMessage({ stepIndex, first, last, trace }: RangeCommand): Message {
  return {
    ...{ stepIndex: uint32("step_index", stepIndex), first, last },
    ...(trace && { traceparent: formatTraceparent(trace) }),
  };
}

/** Of a command or of an event. */
export function pieceToMessage(data: Uint8Array): Message {
  return { piece: withChecksum(data) };
}

export function closeToMessage(): Message {
  return { close: {} };
}

export function commandFromMessage(message: unknown): SessionCommand {
  const fields = new Fields(message, "SessionRequest");
  const kind = fields.get("command");
  switch (kind) {
    case "open":
      return { kind, open: openFromFields(new Fields(fields.get("open"), "OpenSession")) };
    case "usePlane":
      return { kind, use: planeUseFromFields(new Fields(fields.get(kind), "UsePlane")) };
    case "forward":
    case "restore": {
      const range = new Fields(fields.get(kind), "ForwardRange");
      return { kind, range: rangeFromFields(range), input: carriedFromFields(range) };
    }
    case "backward": {
      const backward = new Fields(fields.get("backward"), "BackwardRange");
      const gradOutput = headFromFields(backward.message("gradOutput"));
      return { kind, range: rangeFromFields(backward), gradOutput };
    }
    case "piece":
      return { kind, data: pieceFromFields(new Fields(fields.get(kind), "TensorPiece")) };
    case "close":
      return { kind };
    default:
      throw new TuttiError(
        "INVALID_ARGUMENT",
        "SessionRequest.command must be one of open, use_plane, forward, restore, backward, piece, " +
          "close: current value is not set",
      );
  }
}

/** What ranges have in common, forward and backward. */
function rangeFromFields(fields: Fields): RangeCommand {
  const trace = parseTraceparent(fields.get("traceparent"));
  return {
    stepIndex: fields.whole("stepIndex", 0),
    first: fields.name("first"),
    last: fields.name("last"),
    ...(trace && { trace }),
  };
}

function openFromFields(fields: Fields): OpenCommand {
  const job = fields.text("job", MAX_JOB_LENGTH);
  const batch = fields.whole("batch", 1);
  // Who knows no fences leaves it out.
  const fence = fields.has("fence") ? fields.whole("fence", 0) : 0;
  const addedCond = addedCondFromFields(fields);
  return {
    modelHash: fields.name("modelHash"),
    batch,
    height: fields.whole("height", 1),
    width: fields.whole("width", 1),
    timesteps: timestepsFromFields(fields, batch),
    ...(job !== "" && { job }),
    ...(fence !== 0 && { fence }),
    keepInputs: fields.flag("keepInputs"),
    waitMs: fields.whole("waitMs", 0),
    canMove: fields.flag("canMove"),
    jobSessions: Math.max(1, fields.whole("jobSessions", 0)),
    transport: transportFromFields(fields),
    encoderHiddenStates: copyTensor(tensorField(fields, "encoderHiddenStates", "float32")),
    ...(addedCond && {
      addedCond: {
        pooledPromptEmbeds: copyTensor(addedCond.pooledPromptEmbeds),
        timeIds: copyTensor(addedCond.timeIds),
      },
    }),
  };
}

function timestepsFromFields(fields: Fields, batch: number): StepTimesteps[] {
  const timesteps = fields.numbers("timesteps", MAX_LIST);
  const rows = fields.numbers("rowTimesteps", MAX_LIST);
  if (rows.length === 0) return timesteps;
  if (timesteps.length > 0) fields.fail("rowTimesteps", "empty where timesteps are set", "set");
  if (rows.length % batch !== 0) {
    fields.fail("rowTimesteps", `${batch} entries for each step`, `${rows.length} entries`);
  }
  return Array.from(
    { length: rows.length / batch },
    (_, step) => rows.slice(step * batch, (step + 1) * batch),
  );
}

// Events

/** What a worker answers on a session's stream; errors have `status.ts`. */
export type SessionEvent =
  | {
    readonly kind: "opened";
    readonly sessionId: string;
    readonly arenaBytes: number;
    readonly offers: readonly PlaneOffer[];
    readonly keepInputs: boolean;
    readonly gradientDtype: WireDtype;
  }
  | { readonly kind: "planeInUse"; readonly plane: PlaneKind }
  | {
    readonly kind: "result";
    readonly output: Carried;
    readonly computeMs: number;
    readonly queueMs: number;
    readonly loadMs: number;
  }
  | {
    readonly kind: "gradients";
    readonly gradHiddenStates: TensorHead;
    /** By the block that made the skip, in the order in which the tensors travel. */
    readonly gradSkips: readonly (readonly [string, TensorHead])[];
    readonly computeMs: number;
    readonly queueMs: number;
  }
  | { readonly kind: "restored" }
  | { readonly kind: "piece"; readonly data: Uint8Array }
  | { readonly kind: "closed" }
  | { readonly kind: "error"; readonly error: unknown };

export function openedToMessage(
  { offers, gradientDtype, ...opened }: Omit<Extract<SessionEvent, { kind: "opened" }>, "kind">,
): Message {
  return {
    opened: {
      ...opened,
      offers: offers.map(offerToMessage),
      gradientDtype: dtypeToMessage(gradientDtype),
    },
  };
}

export function planeInUseToMessage(plane: PlaneKind): Message {
  return { planeInUse: { plane: planeToMessage(plane) } };
}

export function resultToMessage(
  { output, ...times }: Omit<Extract<SessionEvent, { kind: "result" }>, "kind">,
): Message {
  return { result: { ...carriedToMessage(output), ...times } };
}

export function gradientsToMessage(
  { gradHiddenStates, gradSkips, computeMs, queueMs }: Omit<
    Extract<SessionEvent, { kind: "gradients" }>,
    "kind"
  >,
): Message {
  return {
    gradients: {
      gradHiddenStates: headToMessage(gradHiddenStates),
      gradSkips: gradSkips.map(([block, head]) => ({ block, gradient: headToMessage(head) })),
      computeMs,
      queueMs,
    },
  };
}

export function restoredToMessage(): Message {
  return { restored: {} };
}

export function closedToMessage(): Message {
  return { closed: {} };
}

/** `error` stays a message, for `errorFromMessage`. */
export function eventFromMessage(message: unknown): SessionEvent {
  const fields = new Fields(message, "SessionResponse");
  const kind = fields.get("event");
  switch (kind) {
    case "opened": {
      const opened = fields.message("opened");
      return {
        kind,
        sessionId: opened.name("sessionId"),
        arenaBytes: opened.whole("arenaBytes", 0),
        offers: offersFromFields(opened),
        keepInputs: opened.flag("keepInputs"),
        gradientDtype: dtypeField(opened, "gradientDtype"),
      };
    }
    case "planeInUse":
      return { kind, plane: planeField(new Fields(fields.get(kind), "PlaneInUse")) };
    case "result": {
      const result = new Fields(fields.get("result"), "ForwardResult");
      return {
        kind,
        output: carriedFromFields(result),
        computeMs: result.number("computeMs"),
        queueMs: result.number("queueMs"),
        loadMs: result.number("loadMs"),
      };
    }
    case "gradients": {
      const gradients = new Fields(fields.get(kind), "BackwardResult");
      return {
        kind,
        gradHiddenStates: headFromFields(gradients.message("gradHiddenStates")),
        gradSkips: gradients.list("gradSkips", MAX_BLOCKS).map((entry) => {
          const skip = new Fields(entry, "SkipGradient");
          return [skip.name("block"), headFromFields(skip.message("gradient"))] as const;
        }),
        computeMs: gradients.number("computeMs"),
        queueMs: gradients.number("queueMs"),
      };
    }
    case "piece":
      return { kind, data: pieceFromFields(new Fields(fields.get(kind), "TensorPiece")) };
    case "restored":
    case "closed":
      return { kind };
    case "error":
      return { kind, error: fields.get("error") };
    default:
      throw new TuttiError("INTERNAL", "SessionResponse.event must be set");
  }
}

// Both

function carriedToMessage({ hiddenStates, head }: Carried): Message {
  return hiddenStates
    ? { hiddenStates: tensorToMessage(hiddenStates) }
    : { hiddenStatesHead: headToMessage(head) };
}

function carriedFromFields(fields: Fields): Carried {
  if (!fields.has("hiddenStatesHead")) {
    return { hiddenStates: tensorField(fields, "hiddenStates", "float32") };
  }
  return { head: headFromFields(fields.message("hiddenStatesHead")) };
}

function pieceFromFields(fields: Fields): Uint8Array {
  const data = fields.get("data");
  const bytes = data instanceof Uint8Array ? data : new Uint8Array();
  if (bytes.length === 0 || bytes.length > MAX_PIECE_BYTES) {
    fields.fail("data", `1 to ${MAX_PIECE_BYTES} bytes`, `${bytes.length} bytes`);
  }
  checkChecksum(fields, bytes);
  return bytes;
}
