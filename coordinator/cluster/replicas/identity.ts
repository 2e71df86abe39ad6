/**
 * Whether a worker may stand in for another: the same model, computed to the same bits. Refused before a tensor travels,
 * naming the field that differs.
 *
 * @module
 */

import type { ExpertDescription, NumericsFingerprint } from "../../../shared/engine/expert.ts";
import { WorkerError } from "../../../shared/errors.ts";

const FINGERPRINT_FIELDS: readonly (keyof NumericsFingerprint)[] = [
  "runtime",
  "device",
  "precision",
  "isa",
  "threads",
  "graphHash",
];

/**
 * @param meant the expert as the first replica described it
 * @param worker HOST:PORT of the other one
 * @throws {WorkerError} FAILED_PRECONDITION
 */
export function checkReplica(
  name: string,
  meant: ExpertDescription,
  found: ExpertDescription,
  worker: string,
): void {
  const fields = [
    ["modelHash", meant.modelHash, found.modelHash],
    ...FINGERPRINT_FIELDS.map((field) =>
      [
        `fingerprint.${field}`,
        String(meant.fingerprint[field]),
        String(found.fingerprint[field]),
      ] as const
    ),
  ] as const;
  for (const [field, wanted, current] of fields) {
    if (wanted === current) continue;
    throw new WorkerError(
      "FAILED_PRECONDITION",
      `Worker ${worker} is no replica of expert "${name}": ${field} must be "${wanted}": ` +
        `current value is "${current}"`,
      { details: { worker, expert: name, field, wanted, current } },
    );
  }
}
