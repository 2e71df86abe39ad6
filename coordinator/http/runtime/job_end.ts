/** How a job ended, for those who waited for its pictures. @module */

import { TuttiError } from "../../../shared/errors.ts";
import { errorOfKind } from "../../../shared/wire/status.ts";
import type { ServedJob } from "../store/served_job.ts";

/** @throws {TuttiError} what it failed with, if it has failed */
export function throwFailure({ id, error }: ServedJob): void {
  if (error) throw errorOfKind(error.kind, error.code, error.message, { job: id });
}

/** @throws {TuttiError} what it failed with, CANCELLED if somebody cancelled it */
export function throwUnlessSucceeded(job: ServedJob): void {
  throwFailure(job);
  const { id, state } = job;
  if (state === "succeeded") return;
  throw new TuttiError("CANCELLED", `Job "${id}" ended without pictures: its state is ${state}`);
}
