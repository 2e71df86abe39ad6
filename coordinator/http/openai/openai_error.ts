/** Errors as OpenAI's API has them. @module */

import type { TuttiError } from "../../../shared/errors.ts";
import type { Refusal } from "../server/route.ts";

const CODES: Readonly<Record<number, string>> = {
  401: "invalid_api_key",
  404: "model_not_found",
  429: "rate_limit_exceeded",
  501: "unsupported",
};

export function openaiRefusal({ message, details }: TuttiError, status: number): Refusal {
  const type = status === 429
    ? "requests"
    : status < 500 || status === 501
    ? "invalid_request_error"
    : "server_error";
  const error = { message, type, param: details.field ?? null, code: CODES[status] ?? null };
  // Its clients try again after any 5xx; what is not there now is not there in a moment either.
  return { status: status === 501 ? 400 : status, body: { error } };
}
