/**
 * What a step should take: whatever is longer, computing or the wire. With one wave nothing overlaps, so the sum is what
 * can be reached; with two or more the maximum is.
 *
 * @module
 */

export interface MeasuredLink {
  /** What the link gives while the links of all workers are busy, each direction. */
  readonly sendBytesPerSecond: number;
  readonly receiveBytesPerSecond: number;
  /** Of a small message, ms. */
  readonly roundTripMs: number;
}

/** What one step moves between the coordinator and one worker. */
export interface StepTraffic {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Calls that wait for each other. */
  readonly roundTrips: number;
}

export interface StepModel {
  readonly wireMs: number;
  /** max(compute, wire) */
  readonly maxMs: number;
  /** compute + wire */
  readonly sumMs: number;
}

export function stepModel(
  computeMs: number,
  { sentBytes, receivedBytes, roundTrips }: StepTraffic,
  { sendBytesPerSecond, receiveBytesPerSecond, roundTripMs }: MeasuredLink,
): StepModel {
  const bytesMs = 1000 * (sentBytes / sendBytesPerSecond + receivedBytes / receiveBytesPerSecond);
  const wireMs = bytesMs + roundTrips * roundTripMs;
  return { wireMs, maxMs: Math.max(computeMs, wireMs), sumMs: computeMs + wireMs };
}

/** The lower of the two in the middle of an even number. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? NaN;
}
