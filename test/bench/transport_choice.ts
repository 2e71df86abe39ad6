/**
 * How tensors travel, as the benchmark asks for it, and whether it was done. This is the one place that knows how the
 * choices are passed to the program (`connectOptions()`, `sampleOptions()`).
 *
 * A build that does not know an option ignores it. So nothing is taken from having asked: a choice counts only if it is
 * seen in what happened, in bytes on the cable, connections to the workers and calls in flight.
 *
 * @module
 */

import type { ConnectOptions } from "../../coordinator/cluster/remote_expert.ts";

export interface TransportChoice {
  readonly plane: "grpc" | "tcp";
  readonly wireDtype: "f32" | "f16" | "int8";
  /** Lanes of work in flight: with two, one half of a batch computes while the other one travels. */
  readonly waves: 1 | 2;
}

/** What a step was seen to do. */
export interface TransportEvidence {
  readonly workers: number;
  /** TCP connections to the workers. */
  readonly connections: number;
  /** On all cables in both directions, over what its tensors have in f32. */
  readonly bytesToF32: number;
  /** Most forward calls at a time of the expert that had fewest. */
  readonly callsInFlight: number;
}

/** What every build can do; the others are held against it. */
export const BASIC: TransportChoice = { plane: "grpc", wireDtype: "f32", waves: 1 };

export const CHOICES: readonly TransportChoice[] = (["grpc", "tcp"] as const).flatMap((plane) =>
  (["f32", "f16", "int8"] as const).flatMap((wireDtype) =>
    ([1, 2] as const).map((waves) => ({ plane, wireDtype, waves }))
  )
);

/** Bytes of a value over those of f32; int8 has a scale for every 256 values. */
export const SIZE_TO_F32 = { f32: 1, f16: 1 / 2, int8: (1 + 4 / 256) / 4 } as const;

/** For `connectExpert()`. */
export function connectOptions({ plane, wireDtype }: TransportChoice): Pick<
  ConnectOptions,
  "transport"
> {
  return { transport: { plane, wireDtypes: { all: wireDtype } } };
}

/** For `sample()`. */
export function sampleOptions({ waves }: TransportChoice): Pick<TransportChoice, "waves"> {
  return { waves };
}

/** `grpc.f32.1` */
export function choiceName({ plane, wireDtype, waves }: TransportChoice): string {
  return `${plane}.${wireDtype}.${waves}`;
}

/** Simpler choices that a choice is made of: without one of them it cannot be had either. */
export function partsOf({ plane, wireDtype, waves }: TransportChoice): readonly TransportChoice[] {
  return [
    { plane, wireDtype: BASIC.wireDtype, waves: BASIC.waves },
    { plane, wireDtype, waves: BASIC.waves },
    { plane, wireDtype: BASIC.wireDtype, waves },
  ];
}

/** Why a step was not what was chosen; undefined if it was. */
export function missing(
  { plane, wireDtype, waves }: TransportChoice,
  seen: TransportEvidence,
): string | undefined {
  const seenPlane = seen.connections > seen.workers ? "tcp" : "grpc";
  if (seenPlane !== plane) {
    return `plane ${plane}: ${seen.connections} connections to ${seen.workers} workers are ${seenPlane}`;
  }
  const seenDtype = nearestDtype(seen.bytesToF32);
  if (seenDtype !== wireDtype) {
    return `wire dtype ${wireDtype}: ${
      seen.bytesToF32.toFixed(2)
    } of the bytes of f32 are ${seenDtype}`;
  }
  if (seen.callsInFlight < waves) {
    return `${waves} waves: ${seen.callsInFlight} call in flight at a time`;
  }
  return undefined;
}

/** Frames and headers make more bytes than the values have, so the nearest in ratio. */
function nearestDtype(bytesToF32: number): TransportChoice["wireDtype"] {
  const distance = (size: number) => Math.abs(Math.log(bytesToF32 / size));
  const dtypes = Object.entries(SIZE_TO_F32) as [TransportChoice["wireDtype"], number][];
  return dtypes.reduce((best, each) => distance(each[1]) < distance(best[1]) ? each : best)[0];
}
