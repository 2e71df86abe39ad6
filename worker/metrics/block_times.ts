/**
 * Where the time of one range of blocks went, as observations of one histogram: seven phases that follow each other and
 * together make up what the client waited for, its own end of the wire left out.
 *
 * @module
 */

import type { Passage } from "../plane/passage.ts";

export const PHASES = [
  "wire_in",
  "codec_in",
  "queue",
  "load",
  "compute",
  "codec_out",
  "wire_out",
] as const;
export type Phase = typeof PHASES[number];

export interface BlockTimes {
  /** Ids of the blocks, both included. */
  readonly first: string;
  readonly last: string;
  readonly queueMs: number;
  readonly loadMs: number;
  readonly computeMs: number;
  /** Undefined for a tensor that came in its message: nobody measured how. */
  readonly arrival: Passage | undefined;
  readonly departure: Passage;
}

export interface PhaseTime {
  readonly phase: Phase;
  readonly seconds: number;
  readonly plane: string;
  readonly dtype: string;
}

export function* phaseTimes(
  { queueMs, loadMs, computeMs, arrival, departure }: BlockTimes,
): Generator<PhaseTime> {
  if (arrival) {
    yield phase("wire_in", arrival.wireMs, arrival);
    yield phase("codec_in", arrival.codecMs, arrival);
  }
  yield phase("queue", queueMs, departure);
  yield phase("load", loadMs, departure);
  yield phase("compute", computeMs, departure);
  yield phase("codec_out", departure.codecMs, departure);
  yield phase("wire_out", departure.wireMs, departure);
}

/** Ranges of several blocks share one label: clients may choose any of hundreds of them. */
export function blockLabel({ first, last }: Pick<BlockTimes, "first" | "last">): string {
  return first === last ? first : "several";
}

function phase(name: Phase, ms: number, { plane, wireDtype }: Passage): PhaseTime {
  return { phase: name, seconds: ms / 1000, plane, dtype: wireDtype };
}
