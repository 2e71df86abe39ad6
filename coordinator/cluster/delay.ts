/**
 * A pause that a signal ends.
 *
 * @module
 */

import { TuttiError } from "../../shared/errors.ts";

/** @throws {TuttiError} CANCELLED when the signal fires */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(new TuttiError("CANCELLED", "The operation was cancelled"));
  const timer = setTimeout(resolve, ms);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort);
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  });
}
