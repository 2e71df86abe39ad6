/**
 * The one error vocabulary of coordinator, worker and command line.
 *
 * Codes are gRPC's own, so an error keeps its meaning when it crosses the wire. What a caller may do
 * about an error (retry, exit code) follows from its code and class, never from its text.
 *
 * @module
 */

/** gRPC status codes by name, with their numbers on the wire. */
export const CODES = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type Code = keyof typeof CODES;

/** Facts about an error for programs: which worker, block, tensor or field, and the values. */
export type ErrorDetails = Readonly<Record<string, string>>;

export interface TuttiErrorOptions {
  readonly cause?: unknown;
  readonly details?: ErrorDetails;
}

export class TuttiError extends Error {
  override readonly name: string = "TuttiError";
  readonly code: Code;
  readonly details: ErrorDetails;

  constructor(code: Code, message: string, options: TuttiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  /** The funnel for `catch (error: unknown)`: anything becomes a TuttiError, TuttiErrors stay as they are. */
  static from(error: unknown, code: Code = "UNKNOWN"): TuttiError {
    if (error instanceof TuttiError) return error;
    if (error instanceof DOMException && error.name === "AbortError") {
      return new TuttiError("CANCELLED", "The operation was cancelled", { cause: error });
    }
    const message = error instanceof Error ? error.message : String(error);
    return new TuttiError(code, message, { cause: error });
  }
}

/** The command line was used wrongly: an unknown option, a value out of range. Exit code 2. */
export class UsageError extends TuttiError {
  override readonly name = "UsageError";
  constructor(message: string, options?: TuttiErrorOptions) {
    super("INVALID_ARGUMENT", message, options);
  }
}

/** A file is not what it claims to be: truncated, hostile, wrong tensors, wrong family. Exit code 4. */
export class FormatError extends TuttiError {
  override readonly name = "FormatError";
  constructor(message: string, options?: TuttiErrorOptions) {
    super("INVALID_ARGUMENT", message, options);
  }
}

/** A tensor's shape or dtype does not fit where it is used. The message names both. */
export class ShapeError extends TuttiError {
  override readonly name = "ShapeError";
  constructor(message: string, options?: TuttiErrorOptions) {
    super("INVALID_ARGUMENT", message, options);
  }
}

/** A worker cannot be reached, was lost, or answered wrongly; `details` names worker and block. Exit code 3. */
export class WorkerError extends TuttiError {
  override readonly name = "WorkerError";
}

/** Throws CANCELLED when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new TuttiError("CANCELLED", "The operation was cancelled");
}

/** Exit codes of the command line. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  workerUnreachable: 3,
  badInput: 4,
  interrupted: 130,
} as const;

/** The exit code that tells a script what kind of error this was. */
export function exitCode(error: TuttiError): number {
  if (error.code === "CANCELLED") return EXIT.interrupted;
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof WorkerError) return EXIT.workerUnreachable;
  if (error instanceof FormatError) return EXIT.badInput;
  return EXIT.failed;
}
