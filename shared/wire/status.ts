/**
 * How an error crosses the wire and stays what it was. Two forms with one content: a gRPC status whose
 * trailer `tutti-error-bin` holds JSON, which ends a call, and an `ErrorDetail` message inside a stream that goes on.
 *
 * @module
 */

import { Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import {
  type Code,
  CODES,
  type ErrorDetails,
  FormatError,
  ShapeError,
  TuttiError,
  WorkerError,
} from "../errors.ts";
import { Fields, type Message } from "./fields.ts";
import { MAX_ERROR_BYTES } from "./limits.ts";

/** Key of the trailer; `-bin` makes gRPC carry raw bytes. */
export const ERROR_TRAILER = "tutti-error-bin";

/** Characters of a message, and of one detail: the longest that people read, and room for a dozen details. */
const MAX_MESSAGE_CHARS = 1000;
const MAX_DETAIL_CHARS = 200;

/** Details that a reader takes: more than `MAX_ERROR_BYTES` hold. */
const MAX_DETAILS = 1000;

const CODE_BY_NUMBER: ReadonlyMap<number, Code> = new Map(
  (Object.keys(CODES) as Code[]).map((code) => [CODES[code], code]),
);

/** The code of a gRPC status number; UNKNOWN for one that has no name. */
export function codeFromNumber(status: number): Code {
  return CODE_BY_NUMBER.get(status) ?? "UNKNOWN";
}

/** An `ErrorDetail`; also what the trailer holds. Cut to what fits in a trailer. */
export function errorToMessage(error: TuttiError): Message {
  const details: { name: string; value: string }[] = [];
  const message = {
    code: error.code,
    kind: error.name,
    message: shorten(error.message, MAX_MESSAGE_CHARS),
    details,
  };
  for (const [name, value] of Object.entries(error.details)) {
    details.push({
      name: shorten(name, MAX_DETAIL_CHARS),
      value: shorten(value, MAX_DETAIL_CHARS),
    });
    if (encode(message).length > MAX_ERROR_BYTES) {
      details.pop();
      break;
    }
  }
  return message;
}

/** The error that `errorToMessage` described, of the same class where callers tell classes apart. */
export function errorFromMessage(message: unknown): TuttiError {
  const fields = new Fields(message, "ErrorDetail");
  const name = fields.text("code");
  const code: Code = Object.hasOwn(CODES, name) ? name as Code : "UNKNOWN";
  const details = Object.fromEntries(
    fields.list("details", MAX_DETAILS).map((fact) => {
      const pair = new Fields(fact, "ErrorFact");
      return [pair.text("name"), pair.text("value")];
    }),
  );
  return errorOfKind(fields.text("kind"), code, fields.text("message"), details);
}

/** An error of the class with this name; a TuttiError where callers do not tell it apart. */
export function errorOfKind(
  kind: string,
  code: Code,
  message: string,
  details: ErrorDetails,
): TuttiError {
  switch (kind) {
    case "ShapeError":
      return new ShapeError(message, { details });
    case "FormatError":
      return new FormatError(message, { details });
    case "WorkerError":
      return new WorkerError(code, message, { details });
    default:
      return new TuttiError(code, message, { details });
  }
}

/** Any error as the status that ends a call, and as the `error` event that ends a server's stream. */
export function errorToStatus(error: unknown): Error & StatusObject {
  const typed = TuttiError.from(error);
  const message = errorToMessage(typed);
  const metadata = new Metadata();
  metadata.set(ERROR_TRAILER, encode(message));
  const details = String(message.message);
  return Object.assign(new Error(details), { code: CODES[typed.code], details, metadata });
}

/** The error that the peer's own code raised, or `undefined` if gRPC itself made the status. */
export function errorFromStatus(
  status: Pick<ServiceError, "metadata">,
): TuttiError | undefined {
  const [trailer] = status.metadata?.get(ERROR_TRAILER) ?? [];
  if (!(trailer instanceof Uint8Array)) return undefined;
  try {
    return errorFromMessage(JSON.parse(new TextDecoder().decode(trailer)));
  } catch {
    // A trailer that is not ours says nothing; the status itself still does.
    return undefined;
  }
}

function encode(message: Message): Buffer {
  return Buffer.from(JSON.stringify(message), "utf8");
}

/** Half a surrogate pair would make gRPC's percent-encoding throw, so cutting restores well-formed text. */
function shorten(text: string, maxChars: number): string {
  const cut = text.length > maxChars ? `${text.slice(0, maxChars - 1)}\u2026` : text;
  return cut.toWellFormed();
}
