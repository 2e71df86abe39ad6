/** What a worker computes on and in: `cuda:1 f16`; `-` where it has not said. @module */

import type { WorkerStatus } from "../../shared/wire/convert_status.ts";

export function deviceText({ device, precision }: WorkerStatus): string {
  return [device, precision].filter((part) => part !== "").join(" ") || "-";
}
