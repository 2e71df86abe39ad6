/** Errors as stable-diffusion-webui's API has them. @module */

import type { TuttiError } from "../../../shared/errors.ts";
import type { Refusal } from "../server/route.ts";

/** Of a wrong field it is FastAPI's list, with 422; of all else an object whose `detail` is for people. */
export function webuiRefusal(
  { code, message, details, name }: TuttiError,
  status: number,
): Refusal {
  if (details.field !== undefined && status === 400) {
    const detail = [{ loc: ["body", details.field], msg: message, type: "value_error" }];
    return { status: 422, body: { detail } };
  }
  const error = status < 500 ? "HTTPException" : name;
  const body = { error, detail: message, body: "", errors: status < 500 ? "" : code };
  return { status: code === "INVALID_ARGUMENT" && status === 400 ? 422 : status, body };
}
