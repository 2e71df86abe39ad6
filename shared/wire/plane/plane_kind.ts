/**
 * The ways in which a session's feature maps can travel, and what a user may say about them.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import { didYouMean } from "../../terminal/did_you_mean.ts";

/** The fastest first, which is the order in which they are tried. */
export const PLANE_KINDS = ["shm", "unix", "tcp", "grpc"] as const;

export type PlaneKind = typeof PLANE_KINDS[number];

/** `auto` tries all; a kind takes that one or fails. */
export type PlaneChoice = "auto" | PlaneKind;

export function isPlaneKind(value: unknown): value is PlaneKind {
  return PLANE_KINDS.some((kind) => kind === value);
}

export function wantedPlanes(choice: PlaneChoice): readonly PlaneKind[] {
  return choice === "auto" ? PLANE_KINDS : [choice];
}

/** @throws {UsageError} naming what there is */
export function parsePlaneChoice(text: string): PlaneChoice {
  const choices: readonly PlaneChoice[] = ["auto", ...PLANE_KINDS];
  const choice = choices.find((known) => known === text);
  if (choice) return choice;
  throw new UsageError(
    `--plane must be one of ${choices.join(", ")}: current value is "${text}"${
      didYouMean(text, choices)
    }`,
  );
}

/** Kinds separated by commas. @throws {UsageError} naming what there is */
export function parsePlaneList(flag: string, text: string): readonly PlaneKind[] {
  return text.split(",").map((part) => {
    const kind = PLANE_KINDS.find((known) => known === part.trim());
    if (kind) return kind;
    throw new UsageError(
      `${flag} must name some of ${PLANE_KINDS.join(",")}: current value is "${text}"`,
    );
  });
}
