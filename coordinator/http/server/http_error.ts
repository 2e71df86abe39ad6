/** From the one error vocabulary to HTTP's status codes. @module */

import { type Code, TuttiError } from "../../../shared/errors.ts";

const STATUS: Readonly<Record<Code, number>> = {
  CANCELLED: 409,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 409,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};

/** Of an error whose status its code does not tell, such as 410. */
const DETAIL = "http_status";

export function httpError(status: number, code: Code, message: string): TuttiError {
  return new TuttiError(code, message, { details: { [DETAIL]: String(status) } });
}

export function statusOf({ code, details }: TuttiError): number {
  return Number(details[DETAIL] ?? STATUS[code]);
}

/** Of a refusal, in any dialect. */
export function errorHeaders(
  error: TuttiError,
  { headers }: Pick<Request, "headers">,
): Record<string, string> {
  const { retry_after_ms, allow } = error.details;
  const status = statusOf(error);
  return {
    ...(status === 401 && { "www-authenticate": challengeTo(headers) }),
    ...(retry_after_ms !== undefined && {
      "retry-after": String(Math.ceil(Number(retry_after_ms) / 1000)),
    }),
    ...(allow !== undefined && { allow }),
  };
}

/** Browsers ask for a password where they see Basic: right for an address that somebody opens, not for what the page does. */
function challengeTo(headers: Headers): string {
  const isScript = headers.get("sec-fetch-dest") === "empty";
  return isScript ? 'Bearer realm="tutti"' : 'Basic realm="tutti", charset="UTF-8"';
}
