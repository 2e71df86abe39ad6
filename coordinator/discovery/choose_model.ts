/** Which model an ensemble means by a name or the beginning of a hash, among those that workers serve. @module */

import { TuttiError, WorkerError } from "../../shared/errors.ts";
import type { WorkerAnnouncement } from "../../shared/nats/worker_announcement.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import type { ModelChoice } from "../cluster/model_choice.ts";

/** Digits of a hash that people get to see. */
const SHOWN_DIGITS = 10;

/**
 * @returns its hash
 * @throws {WorkerError} NOT_FOUND if no worker serves it
 * @throws {TuttiError} FAILED_PRECONDITION if several models are meant; with the candidates
 */
export function chooseModel(workers: readonly WorkerAnnouncement[], choice: ModelChoice): string {
  const meant = workers.filter(({ name, modelHash }) =>
    (choice.name === undefined || name === choice.name) &&
    (choice.hash === undefined || modelHash.startsWith(choice.hash))
  );
  const [hash, ...others] = new Set(meant.map(({ modelHash }) => modelHash));
  if (hash !== undefined && others.length === 0) return hash;
  const details = { ...choice };
  if (hash === undefined) {
    const names = [...new Set(workers.map(({ name }) => name))];
    const hint = choice.name === undefined ? "" : didYouMean(choice.name, names);
    throw new WorkerError(
      "NOT_FOUND",
      `No worker serves a model with ${formatChoice(choice)}${hint}: there are ${listed(workers)}`,
      { details },
    );
  }
  throw new TuttiError(
    "FAILED_PRECONDITION",
    `Workers serve ${others.length + 1} models with ${formatChoice(choice)}: ${listed(meant)}. ` +
      "Say which one with model_hash",
    { details },
  );
}

/** `name "photo" and hash "ab12"` */
export function formatChoice({ name, hash }: ModelChoice): string {
  return [name !== undefined && `name "${name}"`, hash !== undefined && `hash "${hash}"`]
    .filter(Boolean).join(" and ");
}

/** Each model once, with where it is served. */
function listed(workers: readonly WorkerAnnouncement[]): string {
  const models = Map.groupBy(
    workers,
    ({ name, modelHash }) => `${name} ${modelHash.slice(0, SHOWN_DIGITS)}`,
  );
  const texts = [...models].map(([model, serving]) =>
    `${model} (${serving.map(({ address }) => address).join(", ")})`
  );
  return texts.join(", ") || "none";
}
