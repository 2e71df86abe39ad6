/** Holds what is asked of a worker against what it said it takes: there before memory is taken, here before it is sent. @module */

import { TuttiError } from "../errors.ts";
import type { WorkerLimits } from "./limits.ts";

/** How large a session may be. */
export type SessionLimits = Pick<
  WorkerLimits,
  "maxBatch" | "maxLatentHeight" | "maxLatentWidth"
>;

/** In rows and latent pixels. */
export interface SessionSize {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
}

/** @throws {TuttiError} INVALID_ARGUMENT naming field, value and limit */
export function checkSessionSize(
  { maxBatch, maxLatentHeight, maxLatentWidth }: SessionLimits,
  { batch, height, width }: SessionSize,
): void {
  atMost("batch", batch, maxBatch);
  atMost("height", height, maxLatentHeight);
  atMost("width", width, maxLatentWidth);
}

/** @throws {TuttiError} INVALID_ARGUMENT naming the field and the limit */
export function atMost(field: string, value: number, limit: number): void {
  if (value <= limit) return;
  throw new TuttiError(
    "INVALID_ARGUMENT",
    `${field} must be at most ${limit} on this worker: current value is ${value}`,
    { details: { field, limit: String(limit) } },
  );
}
