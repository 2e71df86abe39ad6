/** Whether the set-ups that a benchmark keeps loaded fit into memory together, told before a file is written. @module */

import { TuttiError } from "../../shared/errors.ts";
import { formatBytes } from "../../shared/terminal/units.ts";

/** A U-Net in memory over its weights in f32, activations not counted: the goal that `tutti bench load` measures. */
const MEMORY_TO_WEIGHTS = 1.15;
/** Deno, the runtime, activations of one block. */
const PROCESS_BYTES = 300_000_000;

export interface Room {
  /** Who needs it. */
  readonly bench: string;
  /** U-Nets in memory at the same time, in whichever process. */
  readonly models: number;
  /** Weights of one of them in f32. */
  readonly weightBytes: number;
  /** Processes that hold them. */
  readonly processes: number;
}

/** @throws {TuttiError} RESOURCE_EXHAUSTED with the numbers */
export function checkRoom(
  { bench, models, weightBytes, processes }: Room,
  availableBytes: number = Deno.systemMemoryInfo().available,
): void {
  const neededBytes = models * weightBytes * MEMORY_TO_WEIGHTS + processes * PROCESS_BYTES;
  if (neededBytes <= availableBytes) return;
  throw new TuttiError(
    "RESOURCE_EXHAUSTED",
    `bench ${bench} needs about ${formatBytes(neededBytes)} of memory (${models} U-Nets of ` +
      `${formatBytes(weightBytes)} of weights each, ${processes} processes): ` +
      `${formatBytes(availableBytes)} are available. Take fewer experts or a smaller --family`,
    {
      details: {
        neededBytes: String(Math.ceil(neededBytes)),
        availableBytes: String(availableBytes),
      },
    },
  );
}
