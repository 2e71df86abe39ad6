/** The kinds of values that only pictures have: sizes, seeds, blocks, numbers on the way. @module */

import { WIRE_DTYPES } from "../../shared/wire/codec/wire_dtype.ts";
import { parseWireDtypes } from "../cluster/tensor_transport.ts";
import type { AggregatedBlocks } from "../sampling/aggregation_plan.ts";
import { MAX_PIXELS, MAX_SEED, PIXELS_PER_LATENT } from "./limits.ts";
import { findMethod, METHODS } from "../sampling/methods/methods.ts";
import { parseMethod } from "../sampling/methods/method_text.ts";
import type { GuidanceInterval } from "../sampling/guidance.ts";
import { findSampler, findSchedule } from "../sampling/samplers/find_sampler.ts";
import { SAMPLERS } from "../sampling/samplers/sampler_table.ts";
import {
  SCHEDULES,
  SIGMA_SCHEDULES,
  type SigmaSchedule,
} from "../sampling/samplers/sigma_schedules.ts";
import { BLOCK_ID } from "../../shared/models/blocks.ts";
import { didYouMean } from "../../shared/terminal/did_you_mean.ts";
import type { TextProblem, ValueType } from "./value_type.ts";
import { isWhole } from "./value_types.ts";

/** In pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

const INTERVAL_TEXT = "two shares of the steps as 0.2..0.8, the first at most the second, in 0..1";
const SIDES = `multiples of ${PIXELS_PER_LATENT}`;
const RANGE = `in ${PIXELS_PER_LATENT}..${MAX_PIXELS}`;

/** On the command line `512`, or `768x512` as width x height; an ensemble file has the same two. */
export const imageSize: ValueType<ImageSize> = {
  expected: `{"width": pixels, "height": pixels}, both ${SIDES} ${RANGE}`,
  read: readSize,
  fromText: sizeOf,
  explain: explainSize,
  inFile: {
    expected: `pixels as 512 or "768x512", ${SIDES} ${RANGE}`,
    read: (value) =>
      readSize(typeof value === "number" || typeof value === "string" ? sizeOf(`${value}`) : value),
  },
};

function readSize(value: unknown): ImageSize | undefined {
  const { width, height, ...others } = (value ?? {}) as Record<string, unknown>;
  if (!isSide(width) || !isSide(height)) return undefined;
  return Object.keys(others).length === 0 ? { width, height } : undefined;
}

function isSide(value: unknown): value is number {
  return isWhole(value, PIXELS_PER_LATENT, MAX_PIXELS) && value % PIXELS_PER_LATENT === 0;
}

/** Sides of any length. */
function sizeOf(text: string): ImageSize | undefined {
  const match = /^(\d{1,6})(?:x(\d{1,6}))?$/.exec(text);
  return match ? { width: Number(match[1]), height: Number(match[2] ?? match[1]) } : undefined;
}

function explainSize(text: string): TextProblem {
  const size = sizeOf(text);
  if (!size) return { expected: "a size as 512 or 768x512" };
  const [width, height] = [nearestSide(size.width), nearestSide(size.height)];
  const nearest = text.includes("x") ? `${width}x${height}` : width;
  return {
    expected: `${SIDES} pixels ${RANGE}`,
    hint: `; ${nearest} is the nearest`,
  };
}

function nearestSide(pixels: number): number {
  const multiple = Math.round(pixels / PIXELS_PER_LATENT) * PIXELS_PER_LATENT;
  return Math.min(Math.max(multiple, PIXELS_PER_LATENT), MAX_PIXELS);
}

/** A seed as torch takes it. JSON numbers cannot count so far: a string of digits can. */
export const seed: ValueType<bigint> = {
  expected: `a whole number in 0..${MAX_SEED}`,
  read: readSeed,
  fromText: (text) => text,
};

/** A seed, or -1 for one that is drawn anew for each job, as other tools have it. */
export const firstSeed: ValueType<bigint | "random"> = {
  expected: `-1 (random) or ${seed.expected}`,
  read: (value) => value === -1 || value === "-1" ? "random" : readSeed(value),
  fromText: (text) => text,
};

function readSeed(value: unknown): bigint | undefined {
  if (typeof value === "number") {
    return isWhole(value, 0, Number.MAX_SAFE_INTEGER) ? BigInt(value) : undefined;
  }
  if (typeof value !== "string" || !/^\d{1,20}$/.test(value)) return undefined;
  return BigInt(value) <= MAX_SEED ? BigInt(value) : undefined;
}

/** `all`, `noise`, or ids of blocks; on the command line separated by commas. */
export const blockChoice: ValueType<AggregatedBlocks> = {
  expected: "all, noise or a list of block ids",
  read: readBlocks,
  fromText: (text) =>
    text === "all" || text === "noise" ? text : text.split(",").map((id) => id.trim()),
  explain: () => ({ expected: "all, noise, or block ids as IN04,M00,OUT10" }),
};

function readBlocks(value: unknown): AggregatedBlocks | undefined {
  if (value === "all" || value === "noise") return value;
  const isList = Array.isArray(value) && value.length > 0 && value.length <= 100 &&
    value.every((id) => typeof id === "string" && BLOCK_ID.test(id));
  return isList ? value : undefined;
}

/** A sampler by any name that it is known by; its own name is kept. */
export const sampler: ValueType<string> = {
  expected: `one of ${SAMPLERS.map(({ name }) => name).join(", ")}`,
  read: (value) => typeof value === "string" ? attempt(() => findSampler(value).name) : undefined,
  fromText: (text) => text,
  explain: (text) => ({
    expected: sampler.expected,
    hint: didYouMean(text.toLowerCase(), SAMPLERS.map(({ name }) => name)),
  }),
};

/** Where noise levels come from, by any name that it is known by; its own name is kept. */
export const schedule: ValueType<SigmaSchedule> = {
  expected: `one of ${SIGMA_SCHEDULES.join(", ")}`,
  read: (value) => typeof value === "string" ? attempt(() => findSchedule(value).name) : undefined,
  fromText: (text) => text,
  explain: (text) => ({
    expected: schedule.expected,
    hint: didYouMean(text, SCHEDULES.flatMap(({ name, label }) => [name, label])),
  }),
};

const INTERVAL = /^(\d+(?:\.\d+)?|\.\d+)\.\.(\d+(?:\.\d+)?|\.\d+)$/;

/** On the command line and in an ensemble file `0.2..0.8`. */
export const guidanceInterval: ValueType<GuidanceInterval> = {
  expected: '{"from": share, "to": share}, shares of the steps with 0 <= from <= to <= 1',
  read: readInterval,
  fromText: intervalOf,
  explain: () => ({ expected: INTERVAL_TEXT }),
  inFile: {
    expected: INTERVAL_TEXT,
    read: (value) => readInterval(typeof value === "string" ? intervalOf(value) : value),
  },
};

function readInterval(value: unknown): GuidanceInterval | undefined {
  const { from, to, ...others } = (value ?? {}) as Record<string, unknown>;
  const isRight = typeof from === "number" && typeof to === "number" &&
    0 <= from && from <= to && to <= 1 && Object.keys(others).length === 0;
  return isRight ? { from, to } : undefined;
}

/** Any two numbers. */
function intervalOf(text: string): GuidanceInterval | undefined {
  const match = INTERVAL.exec(text);
  return match ? { from: Number(match[1]), to: Number(match[2]) } : undefined;
}

/** An ensembling method with its options; whether these fit the ensemble is told when it is there. */
export const method: ValueType<string> = {
  expected: `one of ${METHODS.map(({ name }) => name).join(", ")}, with options as NAME:key=value`,
  read: (value) =>
    typeof value === "string" && value.length <= MAX_METHOD_CHARS
      ? attempt(() => (findMethod(parseMethod(value).name), value))
      : undefined,
  fromText: (text) => text,
  explain: (text) => ({
    expected: method.expected,
    hint: didYouMean(text.split(":")[0]!, METHODS.map(({ name }) => name)),
  }),
};

const MAX_METHOD_CHARS = 1000;

/** `undefined` where it is refused. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

const MAX_WIRE_DTYPE_CHARS = 1000;

/** A text that `parseWireDtypes()` reads; of a command line's, its shortest form. */
export const wireDtype: ValueType<string> = {
  expected: "what --wire-dtype takes, such as auto or f16,OUT08=int8",
  read: (value) => typeof value === "string" && isWireDtype(value) ? value : undefined,
  fromText: (text) => isWireDtype(text) ? shortestWireDtype(text) : undefined,
  explain: () => ({
    expected: `auto or one of ${WIRE_DTYPES.join(", ")}, and may name blocks as in f16,OUT08=int8`,
  }),
};

function isWireDtype(text: string): boolean {
  return text.length <= MAX_WIRE_DTYPE_CHARS && attempt(() => parseWireDtypes(text)) !== undefined;
}

function shortestWireDtype(text: string): string {
  const { all = "auto", blocks } = parseWireDtypes(text);
  return [all, ...[...blocks ?? []].map(([block, dtype]) => `${block}=${dtype}`)].join(",");
}
