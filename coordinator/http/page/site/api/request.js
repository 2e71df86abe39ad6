/** Questions to the native API, which is the same for every program. @module */

/** A refusal in the API's words. */
export class ApiError extends Error {
  /** @param status of HTTP; 0 where no answer came */
  constructor(status, message, field) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

const signedOut = new EventTarget();

/** Told when the server knows this browser no longer. @returns how to stop */
export function onSignedOut(listener) {
  signedOut.addEventListener("out", listener);
  return () => signedOut.removeEventListener("out", listener);
}

/**
 * @param line method and path: "GET /api/v1/models"
 * @returns what the answer's JSON says; undefined of an empty one
 * @throws {ApiError}
 */
export async function ask(line, body) {
  const [method, path] = line.split(" ");
  let response;
  try {
    response = await fetch(path, {
      method,
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });
  } catch {
    throw new ApiError(0, "The server cannot be reached");
  }
  const text = await response.text();
  const value = parse(text);
  if (response.ok) return value;
  if (response.status === 401 && path !== "/api/v1/session") {
    signedOut.dispatchEvent(new Event("out"));
  }
  const { message, details } = value?.error ?? {};
  throw new ApiError(
    response.status,
    message ?? `The server answered with status ${response.status}`,
    details?.field,
  );
}

function parse(text) {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
