/** One question to a hub, by HTTPS: redirects are followed by hand, so that each host gets what is for it. @module */

import { TuttiError } from "../errors.ts";
import { isTrusted } from "./model_name.ts";
import { tokenAdvice, type TokenFor } from "./tokens.ts";

export interface Question {
  readonly url: string;
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  readonly tokenFor: TokenFor;
  /** Whether the answer is wanted that sends to another host: a hub says there what the file is. @default false */
  readonly stopsAtOthers?: boolean;
  readonly signal?: AbortSignal;
}

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const MAX_HOPS = 10;

/** An answer that may be another one in a while. */
export class BusyError extends TuttiError {
  /** What the host asks for, ms. */
  readonly waitMs: number | undefined;

  constructor(message: string, waitMs?: number, cause?: unknown) {
    super("UNAVAILABLE", message, { cause });
    this.waitMs = waitMs;
  }
}

/**
 * @returns an answer of 200 to 299, 416, or a redirect where that was wanted; its body is the caller's to read or cancel
 * @throws {BusyError} if the host is away, overloaded or broken
 * @throws {TuttiError} PERMISSION_DENIED, NOT_FOUND, FAILED_PRECONDITION
 */
export async function ask(question: Question): Promise<Response> {
  const { method = "GET", headers, tokenFor, stopsAtOthers, signal } = question;
  let url = new URL(question.url);
  for (let hop = 0; hop < MAX_HOPS; hop++) {
    const token = tokenFor(url);
    const response = await fetch(url, {
      method,
      redirect: "manual",
      headers: { ...headers, ...(token && { authorization: `Bearer ${token}` }) },
      ...(signal && { signal }),
    }).catch((cause) => {
      throw unreachable(url, cause, signal);
    });
    if (!REDIRECTS.includes(response.status)) return await checked(response, url);
    const next = new URL(response.headers.get("location") ?? "", url);
    if (stopsAtOthers && next.host !== url.host) return response;
    await response.body?.cancel();
    if (!isTrusted(next)) {
      throw new TuttiError(
        "FAILED_PRECONDITION",
        `${url.host} sends to "${next.origin}", which is not https: nothing is asked for there`,
      );
    }
    url = next;
  }
  throw new TuttiError("FAILED_PRECONDITION", `${url.host} redirects more than ${MAX_HOPS} times`);
}

async function checked(response: Response, url: URL): Promise<Response> {
  const { status, ok, headers } = response;
  if (ok || status === 416) return response;
  await response.body?.cancel();
  // Without what may be secret in it.
  const what = `${url.origin}${url.pathname}`;
  if (status === 401 || status === 403) {
    throw new TuttiError(
      "PERMISSION_DENIED",
      `${url.host} does not give out ${what} (${status}). ${tokenAdvice(url)}`,
    );
  }
  if (status === 404 || status === 410) {
    throw new TuttiError("NOT_FOUND", `There is no ${what} (${status}): check the name`);
  }
  if (status === 408 || status === 429 || status >= 500) {
    throw new BusyError(`${url.host} answers ${status} for ${what}`, retryAfterMs(headers));
  }
  throw new TuttiError("FAILED_PRECONDITION", `${url.host} answers ${status} for ${what}`);
}

/** Seconds, or a date. */
function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get("retry-after");
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

function unreachable({ host }: URL, cause: unknown, signal?: AbortSignal): TuttiError {
  if (signal?.aborted) return new TuttiError("CANCELLED", "The operation was cancelled");
  return new BusyError(`Cannot reach ${host}: ${(cause as Error).message}`, undefined, cause);
}
