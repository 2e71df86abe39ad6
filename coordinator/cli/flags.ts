/** Parsers of flag values that several commands share. @module */

import { UsageError } from "../../shared/errors.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import { MAX_PIXELS, PIXELS_PER_LATENT } from "../jobs/job_spec.ts";
import type { AggregatedBlocks } from "../sampling/aggregation_plan.ts";

export { wholeNumber } from "../../shared/terminal/whole_number.ts";

/** One of a few words. */
export function oneOf<T extends string>(flag: string, choices: readonly T[]): (text: string) => T {
  return (text) => {
    const value = choices.find((choice) => choice === text);
    if (value !== undefined) return value;
    throw new UsageError(
      `${flag} must be one of ${choices.join(", ")}: current value is "${text}"` +
        didYouMean(text, choices),
    );
  };
}

/** Several of a few words, separated by commas. */
export function listOf<T extends string>(
  flag: string,
  choices: readonly T[],
): (text: string) => readonly T[] {
  return (text) => text.split(",").map((word) => oneOf(flag, choices)(word.trim()));
}

/** A finite number. */
export function finiteNumber(flag: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value)) return value;
    throw new UsageError(`${flag} must be a number: current value is "${text}"`);
  };
}

/** A finite number above 0. */
export function positive(flag: string): (text: string) => number {
  return (text) => {
    const value = finiteNumber(flag)(text);
    if (value > 0) return value;
    throw new UsageError(`${flag} must be above 0: current value is "${text}"`);
  };
}

/** A finite number from 0 on. */
export function notNegative(flag: string): (text: string) => number {
  return (text) => {
    const value = finiteNumber(flag)(text);
    if (value >= 0) return value;
    throw new UsageError(`${flag} must be 0 or more: current value is "${text}"`);
  };
}

/** A number from 0 to 1: a probability, or a part of a whole. */
export function share(flag: string): (text: string) => number {
  return (text) => {
    const value = finiteNumber(flag)(text);
    if (value >= 0 && value <= 1) return value;
    throw new UsageError(`${flag} must be from 0 to 1: current value is "${text}"`);
  };
}

/** Largest seed that torch's generator takes. */
const MAX_SEED = 2n ** 64n - 1n;

/** A seed as torch takes it. */
export function seed(flag: string): (text: string) => bigint {
  return (text) => {
    if (/^\d{1,20}$/.test(text) && BigInt(text) <= MAX_SEED) return BigInt(text);
    throw new UsageError(
      `${flag} must be a whole number in 0..${MAX_SEED}: current value is "${text}"`,
    );
  };
}

/** `512`, or `768x512` as width x height; pixels. */
export function imageSize(
  flag: string,
): (text: string) => { readonly width: number; readonly height: number } {
  return (text) => {
    const match = /^(\d{1,6})(?:x(\d{1,6}))?$/.exec(text);
    if (!match) {
      throw new UsageError(`${flag} must be a size as 512 or 768x512: current value is "${text}"`);
    }
    const width = Number(match[1]);
    const height = Number(match[2] ?? match[1]);
    const near = { width: nearestSide(width), height: nearestSide(height) };
    if (width === near.width && height === near.height) return near;
    const nearest = match[2] === undefined ? near.width : `${near.width}x${near.height}`;
    throw new UsageError(
      `${flag} must be multiples of ${PIXELS_PER_LATENT} pixels in ` +
        `${PIXELS_PER_LATENT}..${MAX_PIXELS}: current value is "${text}"; ${nearest} is the nearest`,
    );
  };
}

function nearestSide(pixels: number): number {
  const multiple = Math.round(pixels / PIXELS_PER_LATENT) * PIXELS_PER_LATENT;
  return Math.min(Math.max(multiple, PIXELS_PER_LATENT), MAX_PIXELS);
}

/** `all`, `noise`, or block ids separated by commas. */
export function blockChoice(flag: string): (text: string) => AggregatedBlocks {
  return (text) => {
    if (text === "all" || text === "noise") return text;
    const ids = text.split(",").map((id) => id.trim());
    if (ids.every((id) => /^(?:IN|M|OUT)\d\d$/.test(id))) return ids;
    throw new UsageError(
      `${flag} must be all, noise, or block ids as IN04,M00,OUT10: current value is "${text}"`,
    );
  };
}
