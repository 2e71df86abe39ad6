/** A worker's refusal of what a user asked for, in the user's words. @module */

import { TuttiError, UsageError } from "../../shared/errors.ts";

/** Fields of requests that follow from a flag alone. */
const FLAGS: Readonly<Record<string, string>> = {
  clip_skip: "--clip-skip",
  batch: "--batch",
  height: "--size",
  width: "--size",
  timesteps: "--steps",
};

/** The error itself, or wrong usage if a worker's limits or its model are what a flag is beyond. */
export function flagRefusal(error: unknown): unknown {
  if (!(error instanceof TuttiError) || error.code !== "INVALID_ARGUMENT") return error;
  const { message, details } = error;
  const flag = FLAGS[details.field ?? ""];
  if (flag === undefined) return error;
  // Rows are what workers count.
  const rows = flag === "--batch" ? " (rows: two for each image with guidance)" : "";
  return new UsageError(`${flag} is beyond what a worker takes: ${message}${rows}`, {
    cause: error,
    details,
  });
}
