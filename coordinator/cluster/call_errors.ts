/**
 * Says what went wrong with a call to a worker. An error that the worker's own code raised arrives as it
 * was, with the worker's address; everything else is about the connection and becomes a WorkerError that
 * names worker, block and step.
 *
 * @module
 */

import type { ServiceError } from "@grpc/grpc-js";
import { type Code, type ErrorDetails, TuttiError, WorkerError } from "../../shared/errors.ts";
import {
  codeFromNumber,
  errorFromMessage,
  errorFromStatus,
  errorOfKind,
} from "../../shared/wire/status.ts";

export interface CallContext {
  /** What the worker was doing, to follow "while": `encoding text`. */
  readonly doing: string;
  readonly block?: string;
  readonly stepIndex?: number;
  readonly deadlineMs?: number;
}

/** The error of a call that ended with a status. */
export function callFailed(
  error: ServiceError,
  worker: string,
  context: CallContext,
  signal: AbortSignal | undefined,
): TuttiError {
  if (signal?.aborted) return cancelled(error);
  const raised = errorFromStatus(error);
  if (raised) return nameWorker(raised, worker, context);
  const details = contextDetails(worker, context);
  const options = { cause: error, details };
  const code = codeFromNumber(error.code);
  switch (code) {
    case "DEADLINE_EXCEEDED": {
      const seconds = (context.deadlineMs ?? 0) / 1000;
      const text = `Worker ${worker} did not answer within ${seconds} s while ${context.doing}`;
      return new WorkerError(code, text, options);
    }
    case "RESOURCE_EXHAUSTED": {
      const text = `Worker ${worker} failed while ${context.doing}: ${error.details}`;
      return new WorkerError(code, text, options);
    }
    case "UNIMPLEMENTED": {
      const text = `Worker ${worker} does not know this call (${context.doing}): ` +
        "it may be an older version of Tutti";
      return new WorkerError(code, text, options);
    }
    case "INTERNAL":
    case "UNKNOWN":
      if (!isConnectionLoss(error)) {
        const text = `Worker ${worker} failed while ${context.doing}: ${error.details}`;
        return new WorkerError(code, text, options);
      }
      return lost(worker, context, error.details, options);
    default:
      return lost(worker, context, error.details, options);
  }
}

/** The error of a command whose answer on the stream was an ErrorDetail. */
export function answerFailed(message: unknown, worker: string, context: CallContext): TuttiError {
  return nameWorker(errorFromMessage(message), worker, context);
}

/** The error of an answer that cannot be read. */
export function wrongAnswer(error: unknown, worker: string, context: CallContext): WorkerError {
  const { message, code, details: { state } } = TuttiError.from(error);
  // What was damaged on the way is no fault of the worker's: asked again, it may answer well.
  const isDamaged = state === "damaged";
  return new WorkerError(
    isDamaged ? code : "INTERNAL",
    `Worker ${worker} answered wrongly while ${context.doing}: ${message}`,
    { cause: error, details: { ...contextDetails(worker, context), ...(isDamaged && { state }) } },
  );
}

/** The error of a command that outlived its deadline. */
export function deadlinePassed(worker: string, context: CallContext): WorkerError {
  const seconds = (context.deadlineMs ?? 0) / 1000;
  return new WorkerError(
    "DEADLINE_EXCEEDED",
    `Worker ${worker} did not answer within ${seconds} s while ${context.doing}`,
    { details: contextDetails(worker, context) },
  );
}

/** The error of a call that was under way, or was to be, on a connection that was given up for another reason. */
export function lostMeanwhile(
  error: TuttiError,
  worker: string,
  context: CallContext,
): WorkerError {
  const text = `Worker ${worker} was lost while ${context.doing}: ${error.message}`;
  const details = { ...error.details, ...contextDetails(worker, context) };
  return new WorkerError("UNAVAILABLE", text, { cause: error, details });
}

export function cancelled(cause?: unknown): TuttiError {
  return new TuttiError("CANCELLED", "The operation was cancelled", { cause });
}

/** `computing block "IN03" in step 2`: how contexts of forwards read. */
export function forwardContext(first: string, last: string, stepIndex: number): CallContext {
  return rangeContext("computing", first, last, stepIndex);
}

/** `differentiating block "IN03" in step 2` */
export function backwardContext(first: string, last: string, stepIndex: number): CallContext {
  return rangeContext("differentiating", first, last, stepIndex);
}

/** `restoring block "IN03" in step 2` */
export function restoreContext(first: string, last: string, stepIndex: number): CallContext {
  return rangeContext("restoring", first, last, stepIndex);
}

function rangeContext(
  verb: string,
  first: string,
  last: string,
  stepIndex: number,
): CallContext {
  const blocks = first === last ? `block "${first}"` : `blocks "${first}" to "${last}"`;
  return { doing: `${verb} ${blocks} in step ${stepIndex}`, block: first, stepIndex };
}

function lost(
  worker: string,
  context: CallContext,
  reason: string,
  options: { cause: unknown; details: ErrorDetails },
): WorkerError {
  const code: Code = "UNAVAILABLE";
  return new WorkerError(
    code,
    `Worker ${worker} was lost while ${context.doing}: ${reason}`,
    options,
  );
}

/** grpc-js reports a connection that breaks under a call as UNAVAILABLE, or as a reset stream. */
function isConnectionLoss(error: ServiceError): boolean {
  return /RST_STREAM|ECONNRESET|EPIPE|socket|connection/i.test(error.details);
}

/** The same error, of the same class, with worker, block and step in its details and the worker in its text. */
function nameWorker(error: TuttiError, worker: string, context: CallContext): TuttiError {
  const details = { ...contextDetails(worker, context), ...error.details, worker };
  return errorOfKind(error.name, error.code, `Worker ${worker}: ${error.message}`, details);
}

function contextDetails(worker: string, { block, stepIndex }: CallContext): ErrorDetails {
  return {
    worker,
    ...(block !== undefined && { block }),
    ...(stepIndex !== undefined && { stepIndex: String(stepIndex) }),
  };
}
